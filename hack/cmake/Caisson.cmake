# Targets are three lines each: name, sources, what they use.

find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(SELINUX REQUIRED IMPORTED_TARGET libselinux)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)

find_program(CCACHE ccache)
if(CCACHE)
  # Paths relative to the checkout: every clone hits the same cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# The list has commas, which a generator expression could not hold.  What is
# found ends the program: a test must fail by it.
set(CAISSON_SANITIZE_FLAGS)
if(CAISSON_SANITIZE)
  set(CAISSON_SANITIZE_FLAGS -fsanitize=${CAISSON_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()

# Flags of our own code; generated code and headers of the system are spared.
add_library(caisson_flags INTERFACE)
target_include_directories(caisson_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(caisson_flags INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion -Wformat=2
  -fno-exceptions -fstack-protector-strong
  $<$<BOOL:${CAISSON_WERROR}>:-Werror>)
target_compile_definitions(caisson_flags INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>
  CAISSON_VERSION="${PROJECT_VERSION}")
target_link_options(caisson_flags INTERFACE
  -Wl,--as-needed -Wl,-z,relro,-z,now)

# Sanitizers, for all but what runs inside containers.
add_library(caisson_sanitizer INTERFACE)
if(CAISSON_SANITIZE)
  target_compile_options(caisson_sanitizer INTERFACE
    ${CAISSON_SANITIZE_FLAGS})
  target_link_options(caisson_sanitizer INTERFACE ${CAISSON_SANITIZE_FLAGS})
endif()

# What absl::Status and the string functions need, by name: a static program
# takes the archives, a dynamic one the shared libraries.
add_library(caisson_absl INTERFACE)
target_link_libraries(caisson_absl INTERFACE
  absl_statusor absl_status absl_cord absl_cordz_info absl_cord_internal
  absl_cordz_functions absl_exponential_biased absl_cordz_handle
  absl_synchronization absl_graphcycles_internal absl_time absl_civil_time
  absl_time_zone absl_bad_optional_access absl_stacktrace
  absl_str_format_internal absl_strerror absl_symbolize
  absl_debugging_internal absl_demangle_internal absl_malloc_internal
  absl_bad_variant_access absl_strings absl_strings_internal absl_base
  absl_spinlock_wait absl_int128 absl_throw_delegate
  absl_raw_logging_internal absl_log_severity)

# caisson_library(NAME SOURCES... USES...): one static library, one folder.
function(caisson_library name)
  cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name}
    PUBLIC caisson_flags caisson_sanitizer ${A_USES})
endfunction()

# caisson_program(NAME [STATIC] [INSIDE] OUTPUT file SOURCES... USES...)
# A STATIC program has no loader and no NSS (catalogue invariant 10); built
# with a sanitizer it has both.  One that runs INSIDE containers never has.
function(caisson_program name)
  cmake_parse_arguments(A "STATIC;INSIDE" "OUTPUT" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE caisson_flags ${A_USES})
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME ${A_OUTPUT}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  if(A_STATIC AND (A_INSIDE OR NOT CAISSON_SANITIZE))
    target_link_options(${name} PRIVATE -static)
  endif()
  if(NOT A_INSIDE)
    target_link_libraries(${name} PRIVATE caisson_sanitizer)
  endif()
endfunction()

# caisson_test(NAME TIER tier SOURCES... USES...): a GoogleTest program,
# registered once with CTest under the tier's label.
function(caisson_test name)
  cmake_parse_arguments(A "" "TIER" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE caisson_flags caisson_sanitizer ${A_USES}
    GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${A_TIER} TIMEOUT 600)
endfunction()

# caisson_proto(NAME FILE [GRPC]): generated C++ for one .proto, included as
# "api/.../x.pb.h".
function(caisson_proto name file)
  cmake_parse_arguments(A "GRPC" "" "" ${ARGN})
  string(REGEX REPLACE "\\.proto$" "" stem ${file})
  set(out ${CMAKE_BINARY_DIR}/generated)
  set(outputs ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
  set(args --cpp_out=${out})
  if(A_GRPC)
    list(APPEND outputs ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
    list(APPEND args --grpc_out=${out}
      --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
  endif()
  file(MAKE_DIRECTORY ${out})
  add_custom_command(OUTPUT ${outputs}
    COMMAND protobuf::protoc -I ${CMAKE_SOURCE_DIR} ${args}
            ${CMAKE_SOURCE_DIR}/${file}
    DEPENDS ${CMAKE_SOURCE_DIR}/${file} VERBATIM)
  add_library(${name} STATIC ${outputs})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC caisson_sanitizer)
  if(A_GRPC)
    # Sockets of this machine alone: without TLS, 2 MB less in memory.
    target_link_libraries(${name} PUBLIC gRPC::grpc++_unsecure
      protobuf::libprotobuf)
  endif()
endfunction()
