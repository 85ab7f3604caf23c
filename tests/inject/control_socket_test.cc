#include "inject/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace nvllm::inject {
namespace {

namespace fs = std::filesystem;

const fs::path kPath = fs::temp_directory_path() / ("nvllm_socket_" + std::to_string(::getpid()));

int connected() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kPath.c_str(), kPath.native().size());
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
}

std::string ask(const std::string& what) {
  const int fd = connected();
  EXPECT_EQ(::send(fd, what.data(), what.size(), MSG_NOSIGNAL), static_cast<ssize_t>(what.size()));
  std::string reply;
  char c = 0;
  while (::read(fd, &c, 1) == 1) reply += c;
  ::close(fd);
  return reply;
}

TEST(ControlSocket, AnswersLinesOfOneClientAfterTheOther) {
  const ControlSocket socket(kPath, [](std::string_view command) { return "got " + std::string(command); });
  EXPECT_EQ(ask("start\n"), "got start\n");
  EXPECT_EQ(ask("\n"), "got \n");
}

TEST(ControlSocket, IsOnlyForItsOwnerAndGoneAfterwards) {
  {
    const ControlSocket socket(kPath, [](std::string_view) { return std::string(); });
    struct stat facts{};
    ASSERT_EQ(::stat(kPath.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0077, 0u);
  }
  EXPECT_FALSE(fs::exists(kPath));
  EXPECT_EQ(connected(), -1);
}

TEST(ControlSocket, TakesThePlaceOfOneThatWasLeftBehind) {
  for (int i = 0; i < 2; ++i) {
    auto* const left = new ControlSocket(kPath, [](std::string_view) { return std::string("a"); });
    const ControlSocket socket(kPath, [](std::string_view) { return std::string("b"); });
    EXPECT_EQ(ask("x\n"), "b\n");
    delete left;
  }
}

TEST(ControlSocket, AClientThatSaysTooMuchOrLeavesIsDropped) {
  const ControlSocket socket(kPath, [](std::string_view) { return std::string("reply"); });
  EXPECT_EQ(ask(std::string(256, 'x')), "");
  ::close(connected());
  EXPECT_EQ(ask("x\n"), "reply\n");
}

TEST(ControlSocket, EndsWhileAClientSaysNothing) {
  int client = -1;
  {
    const ControlSocket socket(kPath, [](std::string_view) { return std::string(); });
    client = connected();
    ASSERT_GE(client, 0);
  }
  ::close(client);
}

TEST(ControlSocket, RefusesAPathThatCannotBe) {
  const auto answer = [](std::string_view) { return std::string(); };
  EXPECT_THROW(ControlSocket("/tmp/" + std::string(200, 'x'), answer), Error);
  EXPECT_THROW(ControlSocket("/nowhere/at/all", answer), Error);
}

}  // namespace
}  // namespace nvllm::inject
