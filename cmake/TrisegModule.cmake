# triseg_module(FOLDER sources...): the library triseg_FOLDER of one folder of the tree.
#
# Headers are included as "folder/name.hpp". Each library puts only its own folder on the include path (through a link
# in the build tree), so a file can include a folder only if its library links to it: the build enforces the arrows.
function(triseg_module folder)
  set(target triseg_${folder})
  add_library(${target} STATIC ${ARGN})
  triseg_include_folder(${target} ${folder} PUBLIC)
  triseg_compile_options(${target})
endfunction()

function(triseg_include_folder target folder visibility)
  set(include_root ${CMAKE_BINARY_DIR}/include/${folder})
  file(MAKE_DIRECTORY ${include_root})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${include_root}/${folder} SYMBOLIC)
  target_include_directories(${target} ${visibility} ${include_root})
endfunction()

function(triseg_compile_options target)
  # The arithmetic is a contract: no product is fused with a sum behind its back.
  set(flags -ffp-contract=off -Wall -Wextra -Wno-sign-compare -Wno-missing-field-initializers)
  if(TRISEG_WARNINGS_AS_ERRORS)
    list(APPEND flags -Werror)
  endif()
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:${flags}> $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false>)
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
