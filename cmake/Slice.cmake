# SPDX-License-Identifier: Apache-2.0

# moulin_slice(NAME DIR dir FILES files...): a static library NAME of the C made from Slice files in dir. They are
# included as <NAME/File.h>; NAME_registry is in <NAME/registry.h>. NAME_generated is what others may have to wait for.
function(moulin_slice name)
  cmake_parse_arguments(S "" "DIR" "FILES" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen/${name})
  set(headers ${out}/${name}/registry.h)
  set(sources ${out}/${name}/registry.c ${out}/${name}/ifaces.c)
  set(inputs)
  foreach(file ${S_FILES})
    string(REGEX REPLACE "\\.ice$" "" base ${file})
    list(APPEND inputs ${S_DIR}/${file})
    list(APPEND headers ${out}/${name}/${base}.h ${out}/${name}/${base}_rpc.h)
    list(APPEND sources ${out}/${name}/${base}.c ${out}/${name}/${base}_rpc.c)
  endforeach()
  set(dirs -I ${S_DIR}=${name})
  if(NOT S_DIR STREQUAL "${CMAKE_SOURCE_DIR}/slice")
    list(APPEND dirs -I ${CMAKE_SOURCE_DIR}/slice=slice)
  endif()
  add_custom_command(
    OUTPUT ${headers} ${sources}
    COMMAND slice2c ${dirs} -o ${out} --registry ${name} ${S_FILES}
    DEPENDS slice2c ${inputs}
    COMMENT "Generating C from the Slice files of ${name}"
    VERBATIM)
  add_custom_target(${name}_generated DEPENDS ${headers} ${sources})
  add_library(${name} STATIC ${sources})
  add_dependencies(${name} ${name}_generated)
  target_include_directories(${name} PUBLIC ${out} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${name} PUBLIC ice_rpc ice_wire ice_base)
endfunction()
