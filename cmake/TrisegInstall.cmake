# What `cmake --install` copies; docs/installing.md has the layout. The program finds models and configurations from its own folder,
# ../share/triseg, so bin and share stay siblings. Each component is a Debian package (TrisegPackages.cmake).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(manual ${CMAKE_BINARY_DIR}/manual)
# Before anything is installed: what the build makes last is there.
install(CODE "if(NOT EXISTS \"${manual}/triseg.1.gz\")
  message(FATAL_ERROR \"${manual}/triseg.1.gz is not there: build all first, with cmake --build ${CMAKE_BINARY_DIR}\")
endif()" ALL_COMPONENTS)

# triseg: the programs, and what they read.
install(TARGETS triseg RUNTIME DESTINATION bin COMPONENT triseg)
install(PROGRAMS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/triseg-table ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/triseg-report
  DESTINATION bin COMPONENT triseg)
install(DIRECTORY analysis/triseg DESTINATION share/triseg/python COMPONENT triseg FILES_MATCHING
  PATTERN "*.py" PATTERN "*.toml" PATTERN "*.css" PATTERN "*.js" PATTERN "LICENSE" PATTERN "__pycache__" EXCLUDE)
install(DIRECTORY models DESTINATION share/triseg COMPONENT triseg FILES_MATCHING PATTERN "*.h5")
install(DIRECTORY configs DESTINATION share/triseg COMPONENT triseg FILES_MATCHING PATTERN "*.toml")
install(DIRECTORY networks DESTINATION share/triseg COMPONENT triseg FILES_MATCHING PATTERN "*.toml")
install(FILES README.md README.zh-CN.md DESTINATION share/doc/triseg COMPONENT triseg)
install(DIRECTORY docs DESTINATION share/doc/triseg COMPONENT triseg FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(FILES LICENSE DESTINATION share/doc/triseg COMPONENT licence)  # in no package: Debian has it once for all

# train: the program that loads LibTorch.
set(programs triseg)
if(TRISEG_PYTHON)
  list(APPEND programs triseg-table triseg-report)
endif()
if(with_trainer)
  install(TARGETS triseg-train RUNTIME DESTINATION bin COMPONENT train)
  list(APPEND programs triseg-train)
endif()
if(with_importer)
  install(TARGETS triseg-import RUNTIME DESTINATION bin COMPONENT triseg)
  list(APPEND programs triseg-import)
endif()

# Manual pages, made of what the programs print for --help.
find_program(GZIP gzip REQUIRED)
set(pages)
foreach(program ${programs})
  set(component triseg)
  if(program STREQUAL triseg-train)
    set(component train)
  endif()
  set(depends ${CMAKE_SOURCE_DIR}/cmake/ManualPage.cmake)
  if(TARGET ${program})
    list(APPEND depends ${program})
  endif()
  add_custom_command(OUTPUT ${manual}/${program}.1.gz
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${program} -DVERSION=${PROJECT_VERSION}
      -DOUT=${manual}/${program}.1 -P ${CMAKE_SOURCE_DIR}/cmake/ManualPage.cmake
    COMMAND ${GZIP} -9nf ${manual}/${program}.1
    DEPENDS ${depends} VERBATIM)
  list(APPEND pages ${manual}/${program}.1.gz)
  install(FILES ${manual}/${program}.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
endforeach()

# What shells complete by.
foreach(shell bash zsh)
  add_custom_command(OUTPUT ${manual}/completion.${shell}
    COMMAND ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/triseg completion ${shell} > ${manual}/completion.${shell}
    DEPENDS triseg VERBATIM)
  list(APPEND pages ${manual}/completion.${shell})
endforeach()
install(FILES ${manual}/completion.bash DESTINATION share/bash-completion/completions RENAME triseg COMPONENT triseg)
install(FILES ${manual}/completion.zsh DESTINATION share/zsh/vendor-completions RENAME _triseg COMPONENT triseg)
add_custom_target(triseg_manual ALL DEPENDS ${pages})

# dev: the rooms that other programs build on, as targets triseg::ROOM of find_package(triseg).
foreach(room core core/hdf5 network data worker worker/cpu worker/cuda worker/engines learner learner/judging learner/strategies learner/files)
  string(REPLACE "/" "_" name ${room})
  if(TARGET triseg_${name})
    set_target_properties(triseg_${name} PROPERTIES EXPORT_NAME ${name})
    target_include_directories(triseg_${name} INTERFACE $<INSTALL_INTERFACE:include> $<INSTALL_INTERFACE:include/triseg>)
    install(TARGETS triseg_${name} EXPORT triseg ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${room}/*.hpp)
    list(FILTER headers EXCLUDE REGEX "core/hdf5/library\\.hpp$")  # it includes HDF5's
    install(FILES ${headers} DESTINATION include/triseg/${room} COMPONENT dev)
  endif()
endforeach()
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/triseg)
install(EXPORT triseg NAMESPACE triseg:: FILE triseg-targets.cmake DESTINATION ${package_folder} COMPONENT dev)
configure_package_config_file(cmake/triseg-config.cmake.in ${CMAKE_BINARY_DIR}/triseg-config.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/triseg-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/triseg-config.cmake ${CMAKE_BINARY_DIR}/triseg-config-version.cmake cmake/Finddnnl.cmake
  DESTINATION ${package_folder} COMPONENT dev)
