# The conversion of layers: no registry, no store, no privileges.
caisson_library(runtime_layer
  SOURCES erofs_writer.cc inflate.cc layer_convert.cc layer_tree.cc sha256.cc
  USES runtime_base PkgConfig::ISAL PkgConfig::ZSTD PkgConfig::ARCHIVE
       PkgConfig::NETTLE)
