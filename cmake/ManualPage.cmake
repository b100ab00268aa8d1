# cmake -DPROGRAM=path -DVERSION=v -DOUT=page -P ManualPage.cmake: a manual page of what a program and its subcommands print for
# --help.

# help(RESULT WORD...): what `PROGRAM WORD...` prints.
function(help result)
  execute_process(COMMAND ${PROGRAM} ${ARGN} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

# roff(RESULT TEXT): the text as it stands, as roff.
function(roff result text)
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REPLACE "\n." "\n\\&." text "${text}")
  string(REPLACE "\n'" "\n\\&'" text "${text}")
  set(${result} ".nf\n${text}.fi\n" PARENT_SCOPE)
endfunction()

cmake_path(GET PROGRAM FILENAME name)
string(TOUPPER ${name} title)
if(name STREQUAL triseg)
  set(about "search for step-shaped INT8 activations")
elseif(name STREQUAL triseg-train)
  set(about "train networks and repairs for triseg")
elseif(name STREQUAL triseg-report)
  set(about "make a page of runs of triseg")
elseif(name STREQUAL triseg-table)
  set(about "print runs of triseg as a table")
endif()

# add(WORD...): a section of what is printed for these words, and those of the subcommands that it lists.
set(page ".TH ${title} 1 \"\" \"triseg ${VERSION}\"\n.SH NAME\n${name} \\- ${about}\n.SH SYNOPSIS\n")
help(text --help)
string(REGEX MATCH "[Uu]sage: ([^\n]+(\n  [^\n]+)*)" synopsis "${text}")
set(synopsis "${CMAKE_MATCH_1}")
if(name STREQUAL triseg-train)  # which triseg runs
  set(synopsis "triseg train [OPTIONS]\ntriseg repair [OPTIONS] RESULT.json")
endif()
roff(synopsis "${synopsis}\n")
set(page "${page}${synopsis}")
function(add)
  set(option --help)
  if("${ARGN}" MATCHES "^(search|doctor)$")
    set(option --help-all)
  endif()
  help(text ${ARGN} ${option})
  roff(body "${text}")
  string(REPLACE ";" " " heading "${name};${ARGN}")
  string(TOUPPER "${heading}" heading)
  if(NOT ARGN)
    set(heading DESCRIPTION)
  endif()
  set(page "${page}.SH ${heading}\n${body}")
  string(REGEX MATCH "\nSubcommands:(\n[^\n]+)*" listed "${text}")
  string(REGEX MATCHALL "\n  [a-z]+ " listed "${listed}")
  foreach(subcommand ${listed})
    string(STRIP "${subcommand}" subcommand)
    if(NOT "${name} ${subcommand}" MATCHES "^triseg (train|repair|import|table|report)$")  # other programs, with pages of their own
      add(${ARGN} ${subcommand})
    endif()
  endforeach()
  set(page "${page}" PARENT_SCOPE)
endfunction()
add()
set(files "OUT/tri_ppo_int_codes/NAME.h5    a run of triseg search, HDF5
OUT/tri_ppo_int_codes/NAME.json  its result: the selected codes
share/triseg/configs             configurations that --config takes
share/triseg/models              teachers that are shipped
")
roff(files "${files}")
set(others triseg triseg-train triseg-report triseg-table)
list(REMOVE_ITEM others ${name})
list(TRANSFORM others REPLACE "-" "\\\\-")
list(TRANSFORM others PREPEND ".BR ")
list(TRANSFORM others APPEND " (1),")
list(JOIN others "\n" others)
string(REGEX REPLACE ",$" "" others "${others}")
set(page "${page}.SH FILES\n${files}.SH SEE ALSO\n${others}\n")
file(WRITE ${OUT} "${page}")
