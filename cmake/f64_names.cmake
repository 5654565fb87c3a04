# Write OUTPUT: one `#define weft_x weft_f64_x` for each external symbol of LIBRARY. A function with
# versions for several processors is of type `i` (its resolver and versions share its name, with a
# suffix after a dot), so every letter counts, and the name ends at the dot.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${NM} -g --defined-only ${LIBRARY}
                OUTPUT_VARIABLE symbols ERROR_VARIABLE said RESULT_VARIABLE failed)
string(REGEX MATCHALL " [A-Za-z] weft_[A-Za-z0-9_]+" symbols "${symbols}")
if(failed OR symbols STREQUAL "")
  message(FATAL_ERROR "${NM} found no symbols of weft in ${LIBRARY}: ${said}")
endif()
list(TRANSFORM symbols REPLACE "^ [A-Za-z] weft_" "")
list(SORT symbols)
list(REMOVE_DUPLICATES symbols)
set(text "/* Generated: the external symbols of weft, renamed for weft_f64. */\n")
foreach(name IN LISTS symbols)
  string(APPEND text "#define weft_${name} weft_f64_${name}\n")
endforeach()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "${text}" @ONLY)
