# triseg_room(ROOM sources...): the library triseg_ROOM of one folder of the tree, slashes as underscores.
#
# Headers are included by their path from the top, "room/name.hpp". Each library puts only the headers of its own folder on
# the include path (through links in the build tree, not those of folders below it), so a file can include a room only if its
# library links to it: the build enforces the arrows.
function(triseg_room room)
  string(REPLACE "/" "_" name ${room})
  set(target triseg_${name})
  add_library(${target} STATIC ${ARGN})
  triseg_include_room(${target} ${room} PUBLIC)
  triseg_compile_options(${target})
endfunction()

# Puts the headers of a room on the target's include path.
function(triseg_include_room target room visibility)
  string(REPLACE "/" "_" name ${room})
  set(include_root ${CMAKE_BINARY_DIR}/include/triseg_${name})
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${room}/*.hpp ${CMAKE_SOURCE_DIR}/${room}/*.inc)
  file(REMOVE_RECURSE ${include_root})  # links of headers that have moved
  file(MAKE_DIRECTORY ${include_root}/${room})
  foreach(header ${headers})
    cmake_path(GET header FILENAME file)
    file(CREATE_LINK ${header} ${include_root}/${room}/${file} SYMBOLIC)
  endforeach()
  target_include_directories(${target} ${visibility} $<BUILD_INTERFACE:${include_root}>)
endfunction()

# Lets a program include what tests share, as "tests/room/name.hpp".
function(triseg_include_tests target)
  set(include_root ${CMAKE_BINARY_DIR}/include/tests)
  file(MAKE_DIRECTORY ${include_root})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/tests ${include_root}/tests SYMBOLIC)
  target_include_directories(${target} PRIVATE ${include_root})
endfunction()

function(triseg_compile_options target)
  # The arithmetic is a contract: no product is fused with a sum behind its back.
  set(flags -ffp-contract=off -Wall -Wextra -Wno-sign-compare -Wno-missing-field-initializers)
  if(TRISEG_WARNINGS_AS_ERRORS)
    list(APPEND flags -Werror)
  endif()
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:${flags}> $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false>)
endfunction()

# triseg_optimize_lightly(TARGET...): for what spends its time elsewhere. Three quarters of the time to compile what includes
# CLI11, nlohmann/json or GoogleTest goes into optimizing them; this halves it.
function(triseg_optimize_lightly)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Og>)
  endforeach()
endfunction()

# triseg_use_torch(TARGET): LibTorch as a system library. Its headers take half a minute a file: only .cpp files include
# them, and those of a target share one precompiled header.
function(triseg_use_torch target)
  target_include_directories(${target} SYSTEM PRIVATE ${TORCH_INCLUDE_DIRS})
  # LibTorch from pip exports parts of the C++ library it was built with, which crash in ours: ours must be found first.
  target_link_libraries(${target} PRIVATE stdc++ ${TORCH_LIBRARIES})
  target_precompile_headers(${target} PRIVATE <torch/torch.h>)
  # LibTorch from pip brings fmt's headers in another version and finds them before ours, but no library to them.
  target_compile_definitions(${target} PRIVATE FMT_HEADER_ONLY)
endfunction()
