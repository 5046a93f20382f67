# SPDX-License-Identifier: Apache-2.0

# moulin_module(NAME [LINK libs...]): a static library of every *.c in this directory (not below it).
function(moulin_module name)
  cmake_parse_arguments(M "" "" "LINK;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources AND NOT M_SOURCES)
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(${name} INTERFACE ${M_LINK})
    return()
  endif()
  add_library(${name} STATIC ${sources} ${M_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${M_LINK})
endfunction()

# moulin_unit_tests(DIR LINK libs...): every tests/unit/<DIR>/test_*.c becomes a ctest "unit" of its own; the other *.c there
# are built into each of them.
function(moulin_unit_tests dir)
  cmake_parse_arguments(M "" "" "LINK" ${ARGN})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${dir}/test_*.c)
  file(GLOB shared CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${dir}/*.c)
  list(FILTER shared EXCLUDE REGEX "/test_[^/]*$")
  foreach(source ${tests})
    get_filename_component(base ${source} NAME_WE)
    string(REPLACE "/" "_" prefix ${dir})
    set(target ${prefix}_${base})
    add_executable(${target} ${source} ${shared})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib ${CMAKE_SOURCE_DIR}/${dir})
    target_link_libraries(${target} PRIVATE test_support ${M_LINK} PkgConfig::CMOCKA)
    target_compile_definitions(${target} PRIVATE
      MOULIN_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MOULIN_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${target} COMMAND ${target})
    set_tests_properties(${target} PROPERTIES LABELS unit TIMEOUT 120)
  endforeach()
endfunction()
