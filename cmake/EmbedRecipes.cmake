# cmake -DFOLDER=networks -DNAMES=a;b -DOUT=header -P EmbedRecipes.cmake: a header with the texts of FOLDER/a.toml, FOLDER/b.toml by
# their names, in this order.
set(all "#pragma once\n\n#include <string_view>\n#include <utility>\n\nnamespace triseg {\n
inline constexpr std::pair<std::string_view, std::string_view> shipped_recipes[] = {\n")
foreach(name ${NAMES})
  file(READ ${FOLDER}/${name}.toml text)
  string(APPEND all "    {\"${name}\", R\"recipe(${text})recipe\"},\n")
endforeach()
string(APPEND all "};\n\n}  // namespace triseg\n")
file(WRITE ${OUT} "${all}")
