# cmake -DFILES=a;b -DROOT=folder -DOUT=header -P SourceDigest.cmake: a header with a digest of the names and contents of files.
set(all)
foreach(file ${FILES})
  file(SHA256 ${ROOT}/${file} digest)
  string(APPEND all "${file} ${digest}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 16 digest)
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define TRISEG_SOURCE_DIGEST \"${digest}\"\n")
