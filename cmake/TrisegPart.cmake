# triseg_part(RESULT OPTION FOUND TEXT): whether a part of the project is built, by its option, which is ON, OFF or AUTO, and by
# FOUND, whether what it needs is on this machine. Where it is not, AUTO leaves the part out with a line and ON is an error. TEXT says
# what the part is and what it needs.
function(triseg_part result option found text)
  set(${result} OFF PARENT_SCOPE)
  if(NOT ${option})
    return()
  endif()
  if(found)
    set(${result} ON PARENT_SCOPE)
  elseif(${option} STREQUAL "AUTO")
    message(STATUS "Left out: ${text}")
  else()
    message(FATAL_ERROR "${option} is ${${option}}, but not all is here: ${text}")
  endif()
endfunction()
