// Who is refused, by which end, and what the operator is told. The peers are the openssl program and bare sockets.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "net/test_support.h"
#include "net/tls.h"

namespace sallyport::net {
namespace {

using namespace testing;

std::vector<std::string> operator+(std::vector<std::string> left, const std::vector<std::string>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::vector<std::string> certificate_arguments(const IdentityFiles& files) {
  return {"-cert", files.certificate, "-key", files.private_key, "-CAfile", files.trust};
}

// An RSA certificate, which `sallyport keys` does not make.
IdentityFiles rsa_identity(const Pki& pki, const std::string& name) {
  const IdentityFiles files{pki.folder / (name + ".crt"), pki.folder / (name + ".key"), pki.folder / (name + ".crt")};
  Process make({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-days", "2",
                "-out", files.certificate, "-keyout", files.private_key});
  for (int i = 0; i < 4000 && !make.ended(); ++i) ::usleep(5000);
  return files;
}

// --- Ours listens, openssl s_client dials. ---------------------------------------------------------------------------

class Listener : public ::testing::Test {
 protected:
  std::vector<std::string> s_client() const {
    return {"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(server.port())};
  }
  // What the listener says about a client called with these arguments.
  std::string refusal(const std::vector<std::string>& arguments) {
    Process process(s_client() + arguments);
    run_until(loop, [&] { return server.counters().failed_handshake == 1 || !server.streams.empty(); });
    EXPECT_TRUE(server.streams.empty()) << "was accepted";
    EXPECT_EQ(server.counters().established, 0u);
    return server.counters().last_failure;
  }
  Loop loop;
  Pki pki;
  Server server{loop, pki.identity("dmz-1")};
};

TEST_F(Listener, TakesAForeignTlsStackThatShowsACertificateOfTheAuthority) {
  const auto files = pki.issue("plant-1");
  for (const std::string group : {"X25519MLKEM768", "SecP256r1MLKEM768"}) {
    server.streams.clear();
    Process process(s_client() + certificate_arguments(files) + std::vector<std::string>{"-groups", group});
    ASSERT_TRUE(run_until(loop, [&] { return !server.streams.empty(); })) << process.output();
    EXPECT_EQ(server.streams[0]->group(), group);
    EXPECT_EQ(server.streams[0]->peer().name, "plant-1");
    Ending ending(*server.streams[0]);
    process.type("hello\n");
    EXPECT_TRUE(run_until(loop, [&] { return ending.text == "hello\n"; })) << ending.text;
    ASSERT_EQ(server.streams[0]->write(as_bytes("welcome\n")).size, 8u);
    EXPECT_TRUE(run_until(loop, [&] { return process.output().find("welcome") != std::string::npos; }));
    EXPECT_TRUE(contains(process.output(), "TLSv1.3"));
    EXPECT_EQ(process.output().find("New Session Ticket"), std::string::npos);
    process.type("Q\n");  // s_client's word for: close
    EXPECT_TRUE(run_until(loop, [&] { return ending.done(); }));
    EXPECT_EQ(ending.reason, "connection closed by peer");
  }
}

TEST_F(Listener, RefusesTls12) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(pki.issue("plant-1")) + std::vector<std::string>{"-tls1_2"}),
                       "peer speaks no TLS 1.3, only an older version, which is refused"));
}

TEST_F(Listener, RefusesAPeerWithClassicalKeyExchangeOnly) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(pki.issue("plant-1")) +
                               std::vector<std::string>{"-groups", "X25519:secp256r1:x448"}),
                       "peer offers no post-quantum key exchange (needs X25519MLKEM768 or SecP256r1MLKEM768)"));
}

TEST_F(Listener, RefusesPureMlKemToo) {
  EXPECT_TRUE(
      contains(refusal(certificate_arguments(pki.issue("plant-1")) + std::vector<std::string>{"-groups", "MLKEM768"}),
               "peer offers no post-quantum key exchange"));
}

TEST_F(Listener, RefusesAPeerWithoutACertificate) {
  EXPECT_TRUE(contains(refusal({}), "peer showed no certificate, or has none of a kind we accept (RSA is not)"));
}

TEST_F(Listener, RefusesAForeignAuthorityAlsoOneOfTheSameName) {
  Pki foreign;
  EXPECT_TRUE(
      contains(refusal(certificate_arguments(foreign.issue("plant-1"))),
               "peer's certificate 'plant-1' was issued by 'test CA' with a key that is not in our trust file"));
}

TEST_F(Listener, RefusesASelfSignedRsaCertificate) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(rsa_identity(pki, "plant-1"))),
                       "peer showed no certificate, or has none of a kind we accept"));
}

TEST_F(Listener, RefusesAnExpiredCertificateAndSaysWhoseAndSinceWhen) {
  const std::string said = refusal(certificate_arguments(pki.issue("plant-1", 1, 6)));
  EXPECT_TRUE(contains(said, "127.0.0.1:"));
  EXPECT_TRUE(contains(said, "peer's certificate 'plant-1' expired 5 days ago ("));
  EXPECT_TRUE(contains(said, "`sallyport keys issue`"));
}

TEST_F(Listener, RefusesACertificateThatIsNotYetValid) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(pki.issue("plant-1", 10, -3))),
                       "peer's certificate 'plant-1' is not valid before "));
}

TEST_F(Listener, RefusesThingsThatAreNotTls) {
  struct Row {
    const char* what;
    std::string bytes;
    const char* says;
  };
  const std::string client_hello_of_16_mb =
      std::string("\x16\x03\x01\x40\x00", 5) + std::string("\x01\xff\xff\xff", 4) + std::string(16380, 'x');
  const std::string many_alerts(70'000, '\x15');
  for (const Row& row :
       {Row{"a line", "GET / HTTP/1.1\r\n\r\n", "does not speak TLS"},
        Row{"ssh", "SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"}, Row{"zeroes", std::string(100, '\0'), ""},
        Row{"random", "\x8f\x11\xee\x90\x22\x01\x75\x33\x9a\xab", ""},
        Row{"a hello of 16 MB", client_hello_of_16_mb, "too large"}, Row{"alerts", many_alerts, ""}}) {
    const auto before = server.counters().failed_handshake;
    const RawSocket socket = RawSocket::connect_to(server.port());
    EXPECT_TRUE(socket.send(row.bytes)) << row.what;
    EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake > before && socket.closed(); }))
        << row.what;
    EXPECT_TRUE(contains(server.counters().last_failure, row.says)) << row.what;
  }
  RawSocket::connect_to(server.port()).close();
  EXPECT_TRUE(
      run_until(loop, [&] { return server.counters().last_failure.find("without a word") != std::string::npos; }));
}

TEST_F(Listener, RefusesAPeerThatSendsMoreThan64KilobytesBeforeAuthenticatingItself) {
  const auto files = pki.issue("plant-1");
  std::string chain;
  for (int i = 0; i < 20; ++i) chain += read_text(files.trust);
  write_text(pki.folder / "chain", chain);
  EXPECT_TRUE(
      contains(refusal(certificate_arguments(files) + std::vector<std::string>{"-cert_chain", pki.folder / "chain"}),
               "too large"));
  EXPECT_TRUE(run_until(loop, [&] { return server.counters().handshaking == 0; })) << "not lingering for ever";
}

// The same before any certificate: a true hello, recorded, then records that a server skips or takes for damage.
TEST_F(Listener, EndsAStrangerWhoGoesOnWithRubbishAfterHisHello) {
  const RawSocket recorder = RawSocket::listen_on_loopback();
  Client client(loop, pki.identity("plant-1"), recorder.port(), "dmz-1");
  run_until(loop, [&] {
    pollfd poll_for{recorder.descriptor(), POLLIN, 0};
    return ::poll(&poll_for, 1, 0) == 1;
  });
  const RawSocket accepted(::accept(recorder.descriptor(), nullptr, nullptr));
  run_for(loop, 30ms);
  std::string hello(5000, '\0');
  hello.resize(static_cast<std::size_t>(::recv(accepted.descriptor(), hello.data(), hello.size(), 0)));
  for (const std::string& record :
       {std::string("\x14\x03\x03\x00\x01\x01", 6), std::string("\x17\x03\x03\x00\x05hello", 10),
        std::string("\x16\x03\x03\x00\x04\x0b\xff\xff\xff", 9)}) {
    const auto before = server.counters().failed_handshake;
    const RawSocket socket = RawSocket::connect_to(server.port());
    ASSERT_TRUE(socket.send(hello));
    ASSERT_TRUE(run_until(loop, [&] { return server.counters().handshaking == 1; }));
    std::string rubbish;
    while (rubbish.size() < 70'000) rubbish += record;
    socket.send(rubbish);
    EXPECT_TRUE(run_until(loop, [&] { return server.counters().failed_handshake > before && socket.closed(); }));
    EXPECT_TRUE(run_until(loop, [&] { return server.counters().handshaking == 0; })) << "not lingering for ever";
  }
}

// --- openssl s_server or a bare socket listens, ours dials. ----------------------------------------------------------

class Dialler : public ::testing::Test {
 protected:
  // s_server on a port of the kernel's choice, which it prints.
  std::uint16_t s_server(const std::vector<std::string>& arguments) {
    process = std::make_unique<Process>(std::vector<std::string>{"openssl", "s_server", "-accept", "127.0.0.1:0"} +
                                        arguments);
    for (int i = 0; i < 2000; ++i, ::usleep(5000)) {
      const std::string output = process->output();
      const std::size_t at = output.find("ACCEPT 127.0.0.1:");
      const std::size_t end = output.find('\n', at);
      if (at != std::string::npos && end != std::string::npos)
        return static_cast<std::uint16_t>(std::stoi(output.substr(at + 17)));
    }
    ADD_FAILURE() << process->output();
    return 0;
  }
  Error dial_error(std::uint16_t port, const std::string& peer = "dmz-1", Duration timeout = 10s) {
    Client client(loop, identity, {.address = {"127.0.0.1", port}, .peer_name = peer, .handshake_timeout = timeout});
    EXPECT_TRUE(run_until(loop, [&] { return client.done(); }));
    EXPECT_FALSE(client.stream) << "connected";
    return client.error;
  }
  std::string refusal(const std::vector<std::string>& arguments, const std::string& peer = "dmz-1") {
    return dial_error(s_server(arguments), peer).message;
  }
  Loop loop;
  Pki pki;
  std::shared_ptr<const TlsIdentity> identity = pki.identity("plant-1");
  std::unique_ptr<Process> process;
};

TEST_F(Dialler, ConnectsToAForeignTlsStack) {
  const std::uint16_t port =
      s_server(certificate_arguments(pki.issue("dmz-1")) + std::vector<std::string>{"-Verify", "2"});
  Client client(loop, identity, port, "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  ASSERT_TRUE(client.stream) << client.error.message;
  EXPECT_EQ(client.stream->group(), "X25519MLKEM768");
  Ending ending(*client.stream);
  ASSERT_EQ(client.stream->write(as_bytes("hello\n")).size, 6u);
  EXPECT_TRUE(run_until(loop, [&] { return process->output().find("hello") != std::string::npos; }));
  process->type("welcome\n");
  EXPECT_TRUE(run_until(loop, [&] { return ending.text == "welcome\n"; }));
}

TEST_F(Dialler, RefusesTls12) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(pki.issue("dmz-1")) + std::vector<std::string>{"-tls1_2"}),
                       "peer speaks no TLS 1.3"));
}

TEST_F(Dialler, RefusesAPeerWithClassicalKeyExchangeOnly) {
  EXPECT_TRUE(contains(
      refusal(certificate_arguments(pki.issue("dmz-1")) + std::vector<std::string>{"-groups", "X25519:secp256r1"}),
      "peer offers no post-quantum key exchange (needs X25519MLKEM768 or SecP256r1MLKEM768)"));
}

TEST_F(Dialler, RefusesAForeignAuthority) {
  Pki foreign;
  EXPECT_TRUE(contains(refusal(certificate_arguments(foreign.issue("dmz-1"))),
                       "peer's certificate 'dmz-1' was issued by 'test CA' with a key that is not in our trust file"));
}

TEST_F(Dialler, RefusesAnExpiredCertificate) {
  EXPECT_TRUE(contains(refusal(certificate_arguments(pki.issue("dmz-1", 1, 6))),
                       "peer's certificate 'dmz-1' expired 5 days ago"));
}

TEST_F(Dialler, RefusesAnotherName) {
  const auto files = pki.issue("dmz-2");
  EXPECT_TRUE(contains(refusal(certificate_arguments(files) + std::vector<std::string>{"-Verify", "2"}),
                       "peer presented certificate 'dmz-2', expected 'dmz-1'"));
  EXPECT_EQ(process->output().find("plant-1"), std::string::npos) << "our certificate was shown to a wrong peer";
}

TEST_F(Dialler, RefusesAnRsaCertificate) {
  EXPECT_TRUE(
      contains(refusal(certificate_arguments(rsa_identity(pki, "dmz-1"))), "a certificate of a kind we refuse"));
}

TEST_F(Dialler, IsToldOnItsFirstReadWhenThePeerRefusesItsCertificate) {
  Pki foreign;
  const auto theirs = foreign.issue("dmz-1");
  const auto ours = pki.issue("dmz-1");
  const std::uint16_t port = s_server({"-cert", ours.certificate, "-key", ours.private_key, "-CAfile", theirs.trust,
                                       "-Verify", "2", "-verify_return_error"});
  Client client(loop, identity, port, "dmz-1");
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  if (!client.stream) {
    EXPECT_TRUE(contains(client.error.message, "peer refused our certificate: unknown CA"));
    return;
  }
  Ending ending(*client.stream);
  EXPECT_TRUE(run_until(loop, [&] { return ending.done(); }));
  EXPECT_TRUE(contains(ending.reason, "peer refused our certificate: unknown CA"));
}

// The dialler has sent a good deal by the time it is refused; the reset that a careless listener would answer with must
// not swallow the reason.
TEST_F(Dialler, IsToldWhyAlsoWhenItHasWrittenMuchAlready) {
  Pki foreign;
  const auto files = pki.issue("dmz-1");
  auto trusts_others = Pki::load(files, "dmz-1");
  const auto theirs = foreign.issue("plant-1");
  Server server(loop, trusts_others);
  const auto both = pki.folder / "both.crt";
  write_text(both, read_text(theirs.trust) + read_text(files.trust));
  Client client(loop, Pki::load({theirs.certificate, theirs.private_key, both}, "plant-1"), server.port(), "dmz-1");
  std::string reason;
  std::function<void()> write = [&] {
    static const std::vector<std::byte> block(10'000);
    for (int i = 0; i < 10; ++i) {
      const IoResult result = client.stream->write(block);
      if (result.kind == IoResult::Kind::failed || result.kind == IoResult::Kind::closed)
        return void(reason = result.reason);
    }
    client.stream->when_writable([&] { write(); });
  };
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  ASSERT_TRUE(client.stream) << client.error.message;
  write();
  Ending ending(*client.stream);
  EXPECT_TRUE(run_until(loop, [&] { return ending.done(); }));
  EXPECT_TRUE(contains(ending.reason, "peer refused our certificate: unknown CA"));
  EXPECT_EQ(server.counters().failed_handshake, 1u);
  EXPECT_TRUE(contains(server.counters().last_failure, "foreign authority"));
}

TEST_F(Dialler, SaysThatNothingListens) {
  std::uint16_t port = 0;
  {
    const RawSocket socket = RawSocket::listen_on_loopback();
    port = socket.port();
  }
  const Error error = dial_error(port);
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_TRUE(
      contains(error.message, "127.0.0.1:" + std::to_string(port) + ": connection refused: nothing listens there"));
}

TEST_F(Dialler, SaysThatAHostNameIsNotKnown) {
  Client client(loop, identity, {.address = {"no-such-host.invalid", 1}, .peer_name = "dmz-1", .connect_timeout = 15s});
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  EXPECT_EQ(client.error.code, ErrorCode::unavailable);
  EXPECT_TRUE(contains(client.error.message, "host name 'no-such-host.invalid'"));
}

TEST_F(Dialler, SaysThatThePeerDoesNotSpeakTls) {
  const RawSocket socket = RawSocket::listen_on_loopback();
  Client client(loop, identity, socket.port(), "dmz-1");
  RawSocket accepted(-1);
  ASSERT_TRUE(run_until(loop, [&] {
    pollfd poll_for{socket.descriptor(), POLLIN, 0};
    return ::poll(&poll_for, 1, 0) == 1;
  }));
  const RawSocket peer(::accept(socket.descriptor(), nullptr, nullptr));
  peer.send("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }));
  EXPECT_TRUE(contains(client.error.message, "peer does not speak TLS; is the port right?"));
}

TEST_F(Dialler, GivesUpOnASilentPeerAtItsDeadline) {
  const RawSocket socket = RawSocket::listen_on_loopback();
  const Error error = dial_error(socket.port(), "dmz-1", 150ms);
  EXPECT_EQ(error.code, ErrorCode::timeout);
  EXPECT_TRUE(contains(error.message, "no answer to our TLS hello within 150 ms"));
}

TEST_F(Dialler, GivesUpOnAnAddressThatDoesNotAnswerAtItsDeadline) {
  // A listener with a full backlog drops further SYNs, as a firewall would.
  const RawSocket socket = RawSocket::listen_on_loopback();
  ::listen(socket.descriptor(), 0);
  std::vector<RawSocket> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(socket.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(fillers.back().descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  Client client(loop, identity,
                {.address = {"127.0.0.1", socket.port()}, .peer_name = "dmz-1", .connect_timeout = 200ms});
  ASSERT_TRUE(run_until(loop, [&] { return client.done(); }, 5s));
  EXPECT_TRUE(contains(client.error.message, "no answer in time"));
}

TEST_F(Dialler, NeverCallsBackOnceItsAttemptIsDestroyed) {
  const RawSocket silent = RawSocket::listen_on_loopback();
  for (const Duration delay : {0ms, 1ms, 20ms}) {
    Client connecting(loop, identity, silent.port(), "dmz-1");
    Client resolving(loop, identity, {.address = {"no-such-host.invalid", 1}});
    run_for(loop, delay);
    connecting.attempt.reset();
    const int before = resolving.calls;
    resolving.attempt.reset();
    run_for(loop, 50ms);
    EXPECT_EQ(connecting.calls, 0);
    EXPECT_EQ(resolving.calls, before);
  }
}

TEST_F(Dialler, MayDestroyItsAttemptInTheCallback) {
  Server server(loop, pki.identity("dmz-1"));
  bool called = false;
  std::unique_ptr<DialAttempt> attempt;
  attempt = dial(loop, identity, {.address = {"127.0.0.1", server.port()}, .peer_name = "dmz-1"},
                 [&](Result<std::unique_ptr<TlsStream>> result) {
                   attempt.reset();
                   called = result.has_value();
                 });
  EXPECT_TRUE(run_until(loop, [&] { return called; }));
}

// --- Addresses that cannot be listened on. ---------------------------------------------------------------------------

TEST(Listen, SaysWhyItCannot) {
  Loop loop;
  Pki pki;
  const auto identity = pki.identity("dmz-1");
  const auto error = [&](const std::string& host, std::uint16_t port) {
    auto made = listen(loop, identity, {.address = {host, port}}, [](auto) {});
    return made ? Error{ErrorCode::internal, "no error"} : made.error();
  };
  const RawSocket taken = RawSocket::listen_on_loopback();
  const Error in_use = error("127.0.0.1", taken.port());
  EXPECT_EQ(in_use.code, ErrorCode::exists);
  EXPECT_TRUE(
      contains(in_use.message, "cannot listen on 127.0.0.1:" + std::to_string(taken.port()) + ": the port is in use"));
  EXPECT_TRUE(contains(error("203.0.113.7", 0).message, "this machine has no such address"));
  EXPECT_TRUE(contains(error("no-such-host.invalid", 0).message, "host name 'no-such-host.invalid'"));
}

}  // namespace
}  // namespace sallyport::net
