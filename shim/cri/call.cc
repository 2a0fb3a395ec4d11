#include "shim/cri/call.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "shim/cri/answer.h"

namespace caisson::cri {
namespace {

// How much earlier than its caller's deadline an answer is sent.
constexpr absl::Duration kMostLead = absl::Milliseconds(100);

Deadline AnswerBefore(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return Deadline::Never();
  }
  const absl::Duration left =
      absl::FromChrono(deadline - std::chrono::system_clock::now());
  return Deadline::After(left - std::min(kMostLead, left / 10));
}

// One call on its way.  gRPC ends its life, in OnDone().
class Call : public grpc::ServerUnaryReactor {
 public:
  // Who waits for which operation; outlives the call.
  class Ticket {
   public:
    explicit Ticket(core::OperationTable& table) : table_(table) {}

    void Set(core::OperationTable::Ticket ticket) {
      bool leave = false;
      {
        MutexLock lock(mutex_);
        ticket_ = ticket;
        leave = left_;
      }
      if (leave) {
        table_.Leave(ticket);
      }
    }

    void Leave() {
      core::OperationTable::Ticket ticket = 0;
      {
        MutexLock lock(mutex_);
        left_ = true;
        ticket = ticket_;
      }
      if (ticket != 0) {
        table_.Leave(ticket);
      }
    }

   private:
    core::OperationTable& table_;
    Mutex mutex_;
    core::OperationTable::Ticket ticket_ ABSL_GUARDED_BY(mutex_) = 0;
    bool left_ ABSL_GUARDED_BY(mutex_) = false;
  };

  explicit Call(std::shared_ptr<Ticket> ticket) : ticket_(std::move(ticket)) {}

  void OnCancel() override {
    if (ticket_ != nullptr) {
      ticket_->Leave();
    }
  }

  void OnDone() override { delete this; }

 private:
  const std::shared_ptr<Ticket> ticket_;
};

}  // namespace

grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                    const char* rpc,
                                    const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(rpc, status));
  return reactor;
}

grpc::ServerUnaryReactor* AnswerFrom(ThreadPool& pool,
                                     grpc::CallbackServerContext* /*context*/,
                                     const char* rpc,
                                     std::function<absl::Status()> read) {
  auto* call = new Call(nullptr);
  pool.Post([call, rpc, read = std::move(read)] {
    call->Finish(ToGrpc(rpc, read()));
  });
  return call;
}

grpc::ServerUnaryReactor* AnswerBy(
    core::OperationTable& table, core::OperationTable::Request request,
    core::OperationTable::Work work, grpc::CallbackServerContext* context,
    const char* rpc, std::function<void(const std::string& id)> fill) {
  auto ticket = std::make_shared<Call::Ticket>(table);
  auto* call = new Call(ticket);
  const auto done = [call, rpc, name = request.name, fill = std::move(fill)](
                        const core::Operation::Result& result) {
    if (result.ok() && fill != nullptr) {
      fill(*result);
    }
    call->Finish(ToGrpc(rpc, Annotate(result.status(), name)));
  };
  ticket->Set(table.Run(std::move(request), std::move(work),
                        AnswerBefore(*context), done));
  return call;
}

core::OperationTable::Work Blocking(
    std::function<core::Operation::Result(core::Operation&)> work) {
  return [work = std::move(work)](const core::OperationPtr& operation) {
    operation->Finish(work(*operation));
  };
}

}  // namespace caisson::cri
