# cmake -DROOT=folder -DOUT=header -P GitCommit.cmake: a header with the commit that a working tree stands at, "unknown" outside of a
# repository. Run at every build; the file changes only with the commit.
execute_process(COMMAND git -C ${ROOT} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define TRISEG_COMMIT \"${commit}\"\n")
