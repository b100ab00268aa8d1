# TRISEG_PYTHON: the interpreter of the tests and of the programs in Python. One that imports h5py, a reader and writer
# of HDF5 that is not ours, and pandas; unset where there is none.
if(NOT TRISEG_PYTHON)
  foreach(candidate /usr/bin/python3 python3)
    execute_process(COMMAND ${candidate} -c "import h5py, pandas" RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(TRISEG_PYTHON ${candidate} CACHE STRING "A Python interpreter that imports h5py and pandas")
      break()
    endif()
  endforeach()
endif()
