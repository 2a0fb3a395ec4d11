#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>

#include "absl/status/status.h"
#include "shim/core/operation.h"

// How an RPC is answered, without holding up the threads of gRPC.
namespace caisson::cri {

// Now, from memory.
grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                    const char* rpc,
                                    const absl::Status& status);

// By what `read` returns, on a thread of `pool`: for reads that take a while.
grpc::ServerUnaryReactor* AnswerFrom(ThreadPool& pool,
                                     grpc::CallbackServerContext* context,
                                     const char* rpc,
                                     std::function<absl::Status()> read);

// By an operation's result.  The caller's deadline ends its waiting a moment
// early, so that the answer that says where the operation is gets through; a
// caller that goes away leaves the operation alone, too.  `fill` takes the id
// that was made, before the answer is sent.
grpc::ServerUnaryReactor* AnswerBy(
    core::OperationTable& table, core::OperationTable::Request request,
    core::OperationTable::Work work, grpc::CallbackServerContext* context,
    const char* rpc, std::function<void(const std::string& id)> fill);

// For work that blocks until it is done: the operation ends with its result.
core::OperationTable::Work Blocking(
    std::function<core::Operation::Result(core::Operation&)> work);

}  // namespace caisson::cri
