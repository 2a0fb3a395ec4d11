#pragma once

#include <string>

#include "runtime/device/spec.h"

// Hooks in messages: caisson.keeper.v1.Hook, caisson.state.v1.Hook.
namespace caisson::device {

template <typename Message>
void ToMessage(const Hook& hook, Message& message) {
  message.set_moment(std::string(MomentName(hook.moment)));
  message.set_path(hook.path);
  message.mutable_arguments()->Assign(hook.arguments.begin(),
                                      hook.arguments.end());
  message.mutable_environment()->Assign(hook.environment.begin(),
                                        hook.environment.end());
  message.set_timeout_seconds(hook.timeout_seconds);
}

template <typename Message>
Hook FromMessage(const Message& message) {
  Hook hook;
  hook.moment = FindMoment(message.moment()).value_or(Moment::kPrestart);
  hook.path = message.path();
  hook.arguments.assign(message.arguments().begin(), message.arguments().end());
  hook.environment.assign(message.environment().begin(),
                          message.environment().end());
  hook.timeout_seconds = message.timeout_seconds();
  return hook;
}

}  // namespace caisson::device
