// One connection is a small state machine on its own strand: read a request, hand it out, write the
// answer, again. A read is outstanding at all times, also while a handler works, because that is
// how a client's leaving is noticed; it waits for readiness instead of holding a buffer, so an idle
// connection costs almost nothing. One timer serves whichever deadline is current.
//
// Handlers answer from any thread: they append to `out_` under the mutex and wake the strand, which
// alone touches socket, parser and timer.
#include "net/connection.h"

#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <optional>
#include <utility>

#include "net/http_parser.h"
#include "net/response_writer.h"

namespace nvllm::net {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(int descriptor, std::shared_ptr<ConnectionShared> shared);
  ~Connection();

  void start();
  void close_soon();

  // For exchanges, from any thread. `serial` says which request is meant.
  void answer(std::int64_t serial, HttpResponse response);
  SendResult start_stream(std::int64_t serial, HttpResponse head);
  SendResult send(std::int64_t serial, std::string_view bytes);
  void finish_stream(std::int64_t serial);
  void abort(std::int64_t serial);
  void watch(std::int64_t serial, ExchangeEvents events);
  bool gone(std::int64_t serial) const;
  void post(std::function<void()> task);
  void drop(std::int64_t serial);

 private:
  enum class Phase { kReading, kAnswering, kLingering, kClosed };
  enum class Answer { kNone, kOwed, kStreaming, kComplete };

  // On the strand.
  void wait_readable();
  void on_readable();
  void take_input(std::string_view bytes);
  void advance_parser();
  void begin_exchange();
  void refuse(int status, const std::string& message);
  void end_of_input();
  void flush();
  void write_some();
  void on_written(const ErrorCode& error, std::size_t bytes);
  void answer_written();
  void linger();
  void close();
  void set_deadline(std::optional<SteadyClock::time_point> when);
  void arm_timer();
  void on_deadline();
  void set_read_deadline();

  // Under the mutex.
  bool expects_answer(std::int64_t serial) const {
    return serial == serial_ && answer_ == Answer::kOwed;
  }
  void wake_writer();
  std::int64_t pending_bytes() const {
    return static_cast<std::int64_t>(out_.size()) + in_flight_bytes_;
  }

  const std::shared_ptr<ConnectionShared> shared_;
  const HttpLimits& limits_;
  asio::strand<asio::io_context::executor_type> strand_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;

  // Only on the strand.
  RequestParser parser_;
  Phase phase_ = Phase::kReading;
  ParseState last_state_ = ParseState::kIdle;
  SteadyClock::time_point state_since_ = SteadyClock::now();
  std::optional<SteadyClock::time_point> deadline_;
  SteadyClock::time_point armed_for_;
  bool timer_armed_ = false;
  bool writing_ = false;
  bool read_side_open_ = true;
  std::string in_flight_;
  std::size_t written_bytes_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::string out_;
  std::int64_t in_flight_bytes_ = 0;
  std::int64_t serial_ = 0;
  Answer answer_ = Answer::kNone;
  ResponseFraming framing_;
  bool gone_ = false;
  bool full_ = false;
  bool abort_requested_ = false;
  bool flush_posted_ = false;
  ExchangeEvents events_;
};

namespace {

/// The exchange that handlers hold; it names one request of a connection.
class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, std::int64_t serial,
                     HttpRequest request)
      : connection_(std::move(connection)), serial_(serial), request_(std::move(request)) {}
  ~ConnectionExchange() override { connection_->drop(serial_); }

  const HttpRequest& request() const override { return request_; }
  void respond(HttpResponse response) override {
    connection_->answer(serial_, std::move(response));
  }
  SendResult start_stream(HttpResponse head) override {
    return connection_->start_stream(serial_, std::move(head));
  }
  SendResult send(std::string_view bytes) override { return connection_->send(serial_, bytes); }
  void finish_stream() override { connection_->finish_stream(serial_); }
  void abort() override { connection_->abort(serial_); }
  void watch(ExchangeEvents events) override { connection_->watch(serial_, std::move(events)); }
  bool gone() const override { return connection_->gone(serial_); }
  void post(std::function<void()> task) override { connection_->post(std::move(task)); }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::int64_t serial_;
  const HttpRequest request_;
};

}  // namespace

Connection::Connection(int descriptor, std::shared_ptr<ConnectionShared> shared)
    : shared_(std::move(shared)),
      limits_(shared_->limits),
      strand_(asio::make_strand(*shared_->io)),
      socket_(strand_),
      timer_(strand_),
      parser_(limits_) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  ErrorCode ignored;
  socket_.assign(address.ss_family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(),
                 descriptor, ignored);
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  ++shared_->connection_count;
  const std::lock_guard lock(shared_->mutex);
  shared_->open.insert(this);
}

Connection::~Connection() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->open.erase(this);
  }
  --shared_->connection_count;
}

void Connection::start() {
  asio::dispatch(strand_, [self = shared_from_this()] {
    self->set_read_deadline();
    self->wait_readable();
  });
}

void Connection::close_soon() {
  asio::post(strand_, [self = shared_from_this()] { self->close(); });
}

// ---- reading ----------------------------------------------------------------------------------

void Connection::wait_readable() {
  if (phase_ == Phase::kClosed || !read_side_open_) return;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](const ErrorCode& error) {
                       if (!error) self->on_readable();
                     });
}

void Connection::on_readable() {
  if (phase_ == Phase::kClosed) return;
  std::array<char, 16 * 1024> bytes;
  ErrorCode error;
  const std::size_t count = socket_.read_some(asio::buffer(bytes), error);
  if (error == asio::error::would_block || error == asio::error::try_again) return wait_readable();
  if (error) return end_of_input();
  take_input({bytes.data(), count});
  wait_readable();
}

void Connection::take_input(std::string_view bytes) {
  if (phase_ == Phase::kLingering || parser_.state() == ParseState::kFailed) return;  // discarded
  parser_.append(bytes);
  if (phase_ == Phase::kReading) {
    advance_parser();
  } else if (parser_.buffered_bytes() > limits_.pipelined_bytes_max) {
    close();  // nobody sends this much ahead; reading on would be unbounded, not reading blind
  }
}

void Connection::advance_parser() {
  const ParseState state = parser_.advance();
  if (state == ParseState::kFailed) {
    return refuse(parser_.failure().status, parser_.failure().message);
  }
  if (state != last_state_) {
    last_state_ = state;
    state_since_ = SteadyClock::now();
  }
  if (parser_.take_continue_request()) {
    const std::lock_guard lock(mutex_);
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    wake_writer();
  }
  if (state == ParseState::kDone) return begin_exchange();
  set_read_deadline();
}

void Connection::set_read_deadline() {
  if (last_state_ == ParseState::kIdle) return set_deadline(state_since_ + limits_.idle_time);
  if (last_state_ == ParseState::kHead) return set_deadline(state_since_ + limits_.head_time);
  const std::chrono::milliseconds earned(parser_.body_wire_bytes() * 1000 /
                                         limits_.body_bytes_per_second_min);
  set_deadline(state_since_ + limits_.body_grace + earned);
}

void Connection::begin_exchange() {
  HttpRequest request = parser_.take_request();
  phase_ = Phase::kAnswering;
  last_state_ = ParseState::kIdle;
  set_deadline({});
  ++shared_->exchange_count;
  std::int64_t serial = 0;
  {
    const std::lock_guard lock(mutex_);
    serial = ++serial_;
    answer_ = Answer::kOwed;
    abort_requested_ = full_ = false;
    framing_ = {.chunked = !parser_.http_1_0(),
                .keep_alive = parser_.keep_alive(),
                .omit_body = request.method == "HEAD"};
  }
  const std::string fault = shared_->host_rules.fault_of(request);
  auto exchange =
      std::make_shared<ConnectionExchange>(shared_from_this(), serial, std::move(request));
  if (!fault.empty()) return exchange->respond(shared_->error_page(403, fault));
  try {
    shared_->handler(exchange);
  } catch (const std::exception&) {
    exchange->respond(shared_->error_page(500, "the request failed inside the server"));
  }
}

void Connection::refuse(int status, const std::string& message) {
  phase_ = Phase::kAnswering;
  parser_.give_up();
  set_deadline({});
  ++shared_->exchange_count;
  const std::lock_guard lock(mutex_);
  ++serial_;
  framing_ = {.chunked = false, .keep_alive = false, .omit_body = false};
  out_ += write_response(shared_->error_page(status, message), framing_);
  answer_ = Answer::kComplete;
  wake_writer();
}

void Connection::end_of_input() {
  read_side_open_ = false;
  close();
}

// ---- answering, from any thread ----------------------------------------------------------------

void Connection::answer(std::int64_t serial, HttpResponse response) {
  const std::lock_guard lock(mutex_);
  if (!expects_answer(serial) || gone_) return;
  out_ += write_response(response, framing_);
  answer_ = Answer::kComplete;
  wake_writer();
}

SendResult Connection::start_stream(std::int64_t serial, HttpResponse head) {
  const std::lock_guard lock(mutex_);
  if (!expects_answer(serial) || gone_) return SendResult::kGone;
  if (!framing_.chunked) framing_.keep_alive = false;  // the end of the connection ends the body
  out_ += write_stream_head(head, framing_);
  answer_ = Answer::kStreaming;
  wake_writer();
  return SendResult::kSent;
}

SendResult Connection::send(std::int64_t serial, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (serial != serial_ || answer_ != Answer::kStreaming || gone_) return SendResult::kGone;
  append_stream_data(bytes, framing_, out_);
  wake_writer();
  full_ = full_ || pending_bytes() > limits_.stream_buffer_bytes_max;
  return full_ ? SendResult::kFull : SendResult::kSent;
}

void Connection::finish_stream(std::int64_t serial) {
  const std::lock_guard lock(mutex_);
  if (serial != serial_ || answer_ != Answer::kStreaming || gone_) return;
  append_stream_end(framing_, out_);
  answer_ = Answer::kComplete;
  wake_writer();
}

void Connection::abort(std::int64_t serial) {
  const std::lock_guard lock(mutex_);
  if (serial != serial_ || answer_ == Answer::kComplete || answer_ == Answer::kNone || gone_)
    return;
  abort_requested_ = true;
  wake_writer();
}

void Connection::watch(std::int64_t serial, ExchangeEvents events) {
  const std::lock_guard lock(mutex_);
  if (serial != serial_ || answer_ == Answer::kNone) return;
  if (gone_) {
    if (events.gone) post(std::move(events.gone));
    return;
  }
  std::swap(events_, events);
}

bool Connection::gone(std::int64_t serial) const {
  const std::lock_guard lock(mutex_);
  return serial != serial_ || gone_ || answer_ == Answer::kNone;
}

void Connection::post(std::function<void()> task) {
  if (shared_->stopped) return;
  asio::post(strand_, [self = shared_from_this(), task = std::move(task)] {
    try {
      task();
    } catch (const std::exception&) {
      self->close();
    }
  });
}

void Connection::drop(std::int64_t serial) {
  answer(serial, shared_->error_page(500, "the request was dropped inside the server"));
  finish_stream(serial);
}

void Connection::wake_writer() {
  if (std::exchange(flush_posted_, true)) return;
  asio::post(strand_, [self = shared_from_this()] { self->flush(); });
}

// ---- writing -----------------------------------------------------------------------------------

void Connection::flush() {
  bool aborted = false;
  bool complete = false;
  {
    const std::lock_guard lock(mutex_);
    flush_posted_ = false;
    if (phase_ == Phase::kClosed || phase_ == Phase::kLingering) return;
    aborted = abort_requested_;
    if (writing_ && !aborted) return;
    complete = out_.empty() && answer_ == Answer::kComplete;
    if (!aborted && !out_.empty()) {
      in_flight_.clear();
      std::swap(in_flight_, out_);
      in_flight_bytes_ = static_cast<std::int64_t>(in_flight_.size());
      written_bytes_ = 0;
      writing_ = true;
    }
  }
  if (aborted) return close();
  if (complete) return answer_written();
  if (!writing_) return;
  set_deadline(SteadyClock::now() + limits_.write_stall_time);
  write_some();
}

void Connection::write_some() {
  socket_.async_write_some(
      asio::buffer(in_flight_.data() + written_bytes_, in_flight_.size() - written_bytes_),
      [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
        self->on_written(error, bytes);
      });
}

void Connection::on_written(const ErrorCode& error, std::size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error) return close();
  written_bytes_ += bytes;
  bool again = false;
  bool complete = false;
  std::function<void()> writable;
  {
    const std::lock_guard lock(mutex_);
    in_flight_bytes_ = static_cast<std::int64_t>(in_flight_.size() - written_bytes_);
    if (full_ && pending_bytes() <= limits_.stream_buffer_bytes_max / 2) {
      full_ = false;
      writable = events_.writable;
    }
    again = written_bytes_ < in_flight_.size();
    complete = !again && out_.empty() && answer_ == Answer::kComplete;
  }
  set_deadline(SteadyClock::now() + limits_.write_stall_time);
  if (again) {
    write_some();
  } else {
    writing_ = false;
    set_deadline({});
    if (complete) return answer_written();
    flush();
    if (!writing_ && phase_ == Phase::kReading) set_read_deadline();  // after "100 Continue"
  }
  if (writable) writable();
}

void Connection::answer_written() {
  ExchangeEvents finished;
  bool keep_alive = false;
  {
    const std::lock_guard lock(mutex_);
    answer_ = Answer::kNone;
    keep_alive = framing_.keep_alive;
    std::swap(finished, events_);
  }
  --shared_->exchange_count;
  if (!keep_alive) return linger();
  phase_ = Phase::kReading;
  last_state_ = ParseState::kIdle;
  state_since_ = SteadyClock::now();
  advance_parser();
}

void Connection::linger() {
  // Closing with unread input would reset the connection and could destroy the answer on its way.
  phase_ = Phase::kLingering;
  ErrorCode ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  set_deadline(SteadyClock::now() + limits_.linger_time);
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  ErrorCode ignored;
  socket_.close(ignored);
  timer_.cancel();
  ExchangeEvents events;
  bool owed = false;
  {
    const std::lock_guard lock(mutex_);
    owed = answer_ != Answer::kNone;
    gone_ = true;
    out_.clear();
    std::swap(events, events_);
  }
  if (!owed) return;
  --shared_->exchange_count;
  if (events.gone) events.gone();
}

// ---- time --------------------------------------------------------------------------------------

void Connection::set_deadline(std::optional<SteadyClock::time_point> when) {
  deadline_ = when;
  // A timer that fires early is re-armed then; only an earlier deadline needs it now.
  if (deadline_ && (!timer_armed_ || *deadline_ < armed_for_)) arm_timer();
}

void Connection::arm_timer() {
  timer_armed_ = true;
  armed_for_ = *deadline_;
  timer_.expires_at(armed_for_);
  timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    if (!error) self->on_deadline();
  });
}

void Connection::on_deadline() {
  timer_armed_ = false;
  if (phase_ == Phase::kClosed || !deadline_) return;
  if (SteadyClock::now() < *deadline_) return arm_timer();
  const bool says_why = phase_ == Phase::kReading && !writing_ && last_state_ != ParseState::kIdle;
  if (!says_why) return close();
  refuse(408, "the request came in too slowly");
}

// ---- the room's own interface ------------------------------------------------------------------

void serve_connection(int descriptor, std::shared_ptr<ConnectionShared> shared) {
  std::make_shared<Connection>(descriptor, std::move(shared))->start();
}

void close_connections(ConnectionShared& shared) {
  // A connection may be on its way out: its destructor waits for this mutex, so the pointer is
  // valid, but only a weak reference that still locks may be used.
  std::vector<std::shared_ptr<Connection>> open;
  {
    const std::lock_guard lock(shared.mutex);
    for (Connection* connection : shared.open) {
      if (auto alive = connection->weak_from_this().lock()) open.push_back(std::move(alive));
    }
  }
  for (const auto& connection : open) connection->close_soon();
}

}  // namespace nvllm::net
