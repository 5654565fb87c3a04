# BLIS::BLIS. Debian 12 has no .pc and no CMake file; Debian 13's .pc is off the default path.
find_path(BLIS_INCLUDE_DIR blis.h PATH_SUFFIXES blis blis-openmp blis-pthread blis-serial
          HINTS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
find_library(BLIS_LIBRARY blis PATH_SUFFIXES blis-openmp blis-pthread blis-serial)
# 0.9's header has no version; the library says it.
if(BLIS_INCLUDE_DIR AND BLIS_LIBRARY AND NOT DEFINED BLIS_VERSION)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/blis_version.c
       "#include <blis.h>\n#include <stdio.h>\nint main(void) { fputs(bli_info_get_version_str(), stdout); return 0; }\n")
  try_run(blis_ran blis_compiled ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR}/blis_version.c
          CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${BLIS_INCLUDE_DIR} LINK_LIBRARIES ${BLIS_LIBRARY} m
          RUN_OUTPUT_VARIABLE blis_version)
  if(blis_compiled AND blis_ran EQUAL 0)
    set(BLIS_VERSION ${blis_version} CACHE INTERNAL "version of the BLIS that weft is built with")
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS REQUIRED_VARS BLIS_LIBRARY BLIS_INCLUDE_DIR
                                  VERSION_VAR BLIS_VERSION)
if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
  add_library(BLIS::BLIS UNKNOWN IMPORTED)
  set_target_properties(BLIS::BLIS PROPERTIES IMPORTED_LOCATION ${BLIS_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${BLIS_INCLUDE_DIR})
endif()
mark_as_advanced(BLIS_INCLUDE_DIR BLIS_LIBRARY)
