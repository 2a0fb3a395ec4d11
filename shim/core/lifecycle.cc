#include "shim/core/lifecycle.h"

namespace caisson::core {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

bool MayFollow(PodRecord::State from, PodRecord::State to) {
  return from < to;
}

bool MayFollow(ContainerRecord::State from, ContainerRecord::State to) {
  switch (to) {
    case ContainerRecord::CREATED:
      return from == ContainerRecord::CREATING;
    case ContainerRecord::RUNNING:
      return from == ContainerRecord::CREATED;
    case ContainerRecord::EXITED:
      return from != ContainerRecord::EXITED;
    default:
      return false;
  }
}

const char* StateName(PodRecord::State state) {
  switch (state) {
    case PodRecord::CREATING:
      return "creating";
    case PodRecord::READY:
      return "ready";
    default:
      return "not ready";
  }
}

const char* StateName(ContainerRecord::State state) {
  switch (state) {
    case ContainerRecord::CREATING:
      return "creating";
    case ContainerRecord::CREATED:
      return "created";
    case ContainerRecord::RUNNING:
      return "running";
    default:
      return "exited";
  }
}

}  // namespace caisson::core
