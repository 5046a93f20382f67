# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers, hardening: the same for every target.
add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
  -Wformat=2 -Wcast-qual -Wpointer-arith -Wwrite-strings -Wno-sign-conversion -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wno-gnu-zero-variadic-macro-arguments)
endif()
if(MOULIN_WERROR)
  add_compile_options(-Werror)
endif()
add_compile_definitions(_GNU_SOURCE)

if(MOULIN_SANITIZE)
  add_compile_options(-fsanitize=${MOULIN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MOULIN_SANITIZE})
  if(MOULIN_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
if(MOULIN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(MOULIN_HARDEN)
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
    -ftrivial-auto-var-init=zero)
  add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  add_link_options(-pie)
endif()
if(MOULIN_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
