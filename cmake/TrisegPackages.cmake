# Debian packages by `cpack -G DEB`, one a component: triseg, triseg-train, libtriseg-dev. scripts/package.sh makes and checks them.
# What CUDA is linked from is in no Debian package: they are made with TRISEG_CUDA=OFF and the prefix /usr.
set(CPACK_PACKAGE_CONTACT "The triseg maintainers <triseg@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_GENERATOR TGZ)
set(CPACK_COMPONENTS_ALL triseg dev)
if(with_trainer)
  list(APPEND CPACK_COMPONENTS_ALL train)
endif()
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_TRISEG_PACKAGE_NAME triseg)
set(CPACK_COMPONENT_TRISEG_DESCRIPTION "search for step-shaped INT8 activations
triseg replaces the ReLU outputs of a quantized CNN by staircases of three
levels, so that hardware needs three comparators and two constants where it
had a full 8-bit operand. It searches the integer codes of every staircase
that keep the network closest to its exact self, by reinforcement learning
over MPI ranks.")
set(CPACK_DEBIAN_TRISEG_PACKAGE_DEPENDS "python3:any, openmpi-bin")
set(CPACK_DEBIAN_TRISEG_PACKAGE_RECOMMENDS "python3-h5py, python3-pandas, python3-pil, dataset-fashion-mnist")
set(CPACK_DEBIAN_TRISEG_PACKAGE_SUGGESTS "triseg-train, chromium")
set(CPACK_DEBIAN_TRISEG_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/debian/prerm)

set(CPACK_DEBIAN_TRAIN_PACKAGE_NAME triseg-train)
set(CPACK_COMPONENT_TRAIN_DESCRIPTION "training for triseg, by LibTorch
The commands train and repair of triseg: teachers quantized to INT8, and the
multipliers and biases of a student trained by distillation.")
set(CPACK_DEBIAN_TRAIN_PACKAGE_DEPENDS "triseg (= ${PROJECT_VERSION}), libopenblas0-pthread")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libtriseg-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "libraries of triseg: codes, networks, engines, files
Static libraries and headers for programs that build on parts of triseg, found
by CMake's find_package(triseg).")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "libspdlog-dev, libssl-dev, zlib1g-dev, libhdf5-dev, nlohmann-json3-dev, libdnnl-dev")

# What Debian wants of every package.
set(debian ${CMAKE_BINARY_DIR}/debian)
file(MAKE_DIRECTORY ${debian})
execute_process(COMMAND ${GZIP} -9nc INPUT_FILE ${CMAKE_SOURCE_DIR}/packaging/debian/changelog OUTPUT_FILE ${debian}/changelog.gz
  COMMAND_ERROR_IS_FATAL ANY)
foreach(component triseg train dev)
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  install(FILES ${debian}/changelog.gz packaging/debian/copyright DESTINATION share/doc/${package}
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
