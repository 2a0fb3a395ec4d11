#pragma once

#include "api/state/v1/state.pb.h"

// Which states follow which: the whole life of a pod sandbox and of a
// container.
namespace caisson::core {

// CREATING -> READY -> STOPPED; a creation that could not be undone whole is
// STOPPED at once.
bool MayFollow(state::v1::PodRecord::State from,
               state::v1::PodRecord::State to);

// CREATING -> CREATED -> RUNNING -> EXITED; each of them may end in EXITED.
bool MayFollow(state::v1::ContainerRecord::State from,
               state::v1::ContainerRecord::State to);

// As logs and errors call them: "running".
const char* StateName(state::v1::PodRecord::State state);
const char* StateName(state::v1::ContainerRecord::State state);

}  // namespace caisson::core
