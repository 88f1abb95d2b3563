using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Rpal.Linux;

namespace Rpal.Cli.Tests;

/// <summary>ps, logs, stop, restart and kill from another terminal.</summary>
public sealed class ControlTests : IDisposable
{
    private const string Talks = "echo one; echo two >&2; echo three; exec 3<>/dev/null; while :; do read x </dev/null; sleep 1; done";

    private readonly RunningFamily _family = new();

    public void Dispose() => _family.Dispose();

    [Fact]
    public void Ps_shows_members_and_services()
    {
        RpalProcess host = _family.Run(RunningFamily.Program("Rpal.TestMember"), "serve-version", "1", "--", "sleep", "1000");
        host.AwaitOutput("version 1");
        JsonElement status = _family.Ps();
        JsonElement[] members = [.. status.GetProperty("members").EnumerateArray()];
        Assert.Equal(host.Pid, status.GetProperty("hostPid").GetInt32());
        Assert.Equal(["Rpal.TestMember", "sleep"], members.Select(m => m.GetProperty("name").GetString()));
        Assert.All(members, m => Assert.Equal("running", m.GetProperty("state").GetString()));
        long runtime = members[0].GetProperty("memoryBytes").GetInt64(), sleep = members[1].GetProperty("memoryBytes").GetInt64();
        Assert.True(sleep > 0 && runtime > 4 * sleep, $"memory of a slot, not of the family: {runtime} and {sleep}");
        Assert.Equal(1, members[1].GetProperty("threads").GetInt32());
        JsonElement service = Assert.Single(status.GetProperty("services").EnumerateArray());
        Assert.Equal(("version", "Rpal.TestMember", "enabled"), (service.GetProperty("name").GetString(), service.GetProperty("member").GetString(), service.GetProperty("state").GetString()));
        _family.Comes(() => _family.Ps().GetProperty("services")[0].GetProperty("receivers").GetProperty("ready").GetInt32() == 2);

        RpalProcess.Result table = _family.Ask("ps");
        Assert.Contains(table.OutputLines, l => l.Contains("member", StringComparison.Ordinal) && l.Contains("restarts", StringComparison.Ordinal));
        Assert.Contains(table.OutputLines, l => l.Contains("version", StringComparison.Ordinal) && l.Contains("enabled", StringComparison.Ordinal));
    }

    [Fact]
    public void Ps_says_which_member_has_become_another_program()
    {
        RpalProcess host = _family.Run("sh", "-c", "echo up; exec sleep 1000", "--", "sh", "-c", Talks);
        host.AwaitOutput("up");
        host.AwaitOutput("three");
        _family.Comes(() => _family.Member("sh-1").GetProperty("state").GetString() == "another program");
        Assert.Equal("running", _family.Member("sh-2").GetProperty("state").GetString());
        Assert.Contains("another program", _family.Ask("ps").Output, StringComparison.Ordinal);
    }

    /// <summary>The first answer of a host is its slowest, and the family may be over before it is said.</summary>
    [Theory]
    [InlineData("stop")]
    [InlineData("stop", "sleep")]
    [InlineData("kill", "sleep")]
    public void Who_asks_for_the_end_of_a_family_is_told_that_it_was_done(params string[] words)
    {
        RpalProcess host = _family.Run("sleep", "1000");
        host.AwaitError("started");
        RpalProcess.Result r = _family.Ask(words);
        Assert.True(r.ExitCode == 0 && r.Error.Length == 0, $"exit code {r.ExitCode}: {r.Error}");
        _ = host.End();
    }

    [Theory]
    [InlineData("--host abc: takes a whole number.", "ps", "--host", "abc")]
    [InlineData("--tail abc: takes a whole number.", "logs", "--tail", "abc")]
    [InlineData("--restart-limit abc: takes a whole number.", "run", "--restart-limit", "abc", "true")]
    [InlineData("--seconds abc: takes a number.", "torture", "--seconds", "abc")]
    [InlineData("--seed -1: takes a whole number from 0 on.", "torture", "--seed", "-1")]
    [InlineData("--callers abc: takes a whole number.", "torture", "--callers", "abc")]
    [InlineData("--messages abc: takes a whole number.", "demo", "--messages", "abc")]
    [InlineData("kill needs NAME, the name of the member to signal.", "kill")]
    [InlineData("kill needs NAME, the name of the member to signal.", "kill", "-s", "TERM")]
    [InlineData("restart needs NAME, the name of the member to replace.", "restart")]
    public void Words_that_are_wrong_or_missing_are_named(string what, params string[] words)
    {
        RpalProcess.Result r = _family.Ask(words);
        Assert.Equal(64, r.ExitCode);
        Assert.Equal($"rpal: {what} See rpal {words[0]} --help.", Assert.Single(r.ErrorLines));
    }

    [Fact]
    public void Logs_puts_all_lines_into_one_column()
    {
        _family.Run("sh", "-c", Talks, "--", "sleep", "1000").AwaitOutput("three");
        Assert.Matches(@"^\S+ sh     \| one\n\S+ sh     \| three\n$", _family.Ask("logs").Output);
        Assert.Matches(@"^\S+ sh  \| one\n\S+ sh  \| three\n$", _family.Ask("logs", "sh").Output);
    }

    [Fact]
    public void Ps_shows_what_each_sender_donated_to_each_service()
    {
        string program = RunningFamily.Program("Rpal.TestMember");
        RpalProcess host = _family.RunFile(JsonSerializer.Serialize(new
        {
            accounting = true,
            members = new[]
            {
                new { name = "work-1", command = program, arguments = new[] { "serve", "one", "1" } },
                new { name = "work-2", command = program, arguments = new[] { "serve", "two", "1" } },
                new { name = "call-1", command = program, arguments = new[] { "donated-forever", "one", "1000" } },
                new { name = "call-2", command = program, arguments = new[] { "donated-forever", "two", "1000" } },
            },
        }));
        host.AwaitOutput("call-1  | donated");
        host.AwaitOutput("call-2  | donated");
        JsonElement status = _family.Ps();
        foreach ((string caller, string service) in (ReadOnlySpan<(string, string)>)[("call-1", "one"), ("call-2", "two")])
        {
            JsonElement member = Named(status, "members", caller), donation = Assert.Single(member.GetProperty("donations").EnumerateArray());
            double seconds = donation.GetProperty("seconds").GetDouble();
            Assert.Equal(service, donation.GetProperty("service").GetString());
            Assert.True(seconds > 0 && donation.GetProperty("cycles").GetUInt64() > seconds, $"{donation}");
            Assert.Equal(seconds, member.GetProperty("cpu").GetProperty("donated").GetDouble());
            Assert.Equal(seconds, Named(status, "services", service).GetProperty("receivedSeconds").GetDouble());
        }

        Assert.Empty(Named(status, "members", "work-1").GetProperty("donations").EnumerateArray());
        string[] table = _family.Ask("ps").OutputLines;
        int header = Array.FindIndex(table, l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries) is ["sender", "service", "donated", "cycles"]);
        Assert.True(header > 0, string.Join('\n', table));
        Assert.Equal(["call-1 one", "call-2 two"], table[(header + 1)..].Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(w => w.Length > 1).Select(w => $"{w[0]} {w[1]}"));

        Assert.Equal(0, _family.Ask("stop", "work-1").ExitCode);
        host.AwaitError("work-1  ended: ");
        JsonElement gone = Assert.Single(_family.Member("call-1").GetProperty("donations").EnumerateArray());
        Assert.Equal(JsonValueKind.Null, gone.GetProperty("service").ValueKind);
        Assert.Equal(JsonValueKind.Null, _family.Member("work-1").GetProperty("donations").ValueKind);

        static JsonElement Named(JsonElement status, string list, string name) => status.GetProperty(list).EnumerateArray().Single(m => m.GetProperty("name").GetString() == name);
    }

    [Fact]
    public void Logs_shows_what_was_written_before_and_what_comes()
    {
        RpalProcess host = _family.Run("sh", "-c", Talks, "--", "sh", "-c", "while read x; do echo $x; done <" + Pipe() + "; echo end");
        host.AwaitOutput("three");
        RpalProcess.Result r = _family.Ask("logs", "sh-1");
        Assert.Equal(0, r.ExitCode);
        Assert.Matches(@"^\d{4}-\d\d-\d\dT[0-9:.]+Z sh-1  \| one\n\S+ sh-1  \| three\n$", r.Output);
        Assert.Matches(@"^\S+ sh-1  \| two\n$", r.Error);
        JsonElement last = JsonDocument.Parse(_family.Ask("logs", "--json", "--tail", "1", "sh-1").Output).RootElement;
        Assert.Equal("sh-1", last.GetProperty("member").GetString());

        using var follower = new RpalProcess(null, ["logs", "-f"], runtimeFolder: _family.Folder);
        follower.AwaitOutput("three");                           // it is connected
        using (var pipe = new StreamWriter(File.OpenWrite(Pipe())))
        {
            pipe.WriteLine("fresh");
        }

        follower.AwaitOutput("sh-2  | end");
        host.AwaitOutput("sh-2  | fresh\n");
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        RpalProcess.Result followed = follower.End();
        Assert.Equal(0, followed.ExitCode);
        Assert.Equal($"rpal: the family of host {host.Pid} has ended.", followed.ErrorLines[^1]);
    }

    [Fact]
    public void Stop_ends_one_member_and_later_the_family()
    {
        RpalProcess host = _family.Run("sleep", "1000", "--", "sh", "-c", Talks);
        host.AwaitOutput("three");
        Assert.Equal(0, _family.Ask("stop", "sleep").ExitCode);
        host.AwaitError("rpal: sleep  stopped by rpal stop\n");
        host.AwaitError("sleep  ended: killed by SIGTERM");
        Assert.Contains("killed by SIGTERM", _family.Ask("ps").Output, StringComparison.Ordinal);
        Assert.Equal("ended", _family.Member("sleep").GetProperty("state").GetString());
        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        RpalProcess.Result end = host.End();
        Assert.Equal(128 + Signal.SIGTERM, end.ExitCode);
        Assert.False(File.Exists(_family.Socket(host.Pid)));
    }

    [Fact]
    public void Restart_reads_the_family_file_again()
    {
        RpalProcess host = _family.RunFile(Json("echo version 1; exec 0</dev/null; while :; do read x; done"), "--restart", "on-failure");
        host.AwaitOutput("version 1");
        int before = _family.Member("app").GetProperty("pid").GetInt32();
        File.WriteAllText(_family.FamilyFile, "{ wrong");
        RpalProcess.Result refused = _family.Ask("restart", "app");
        Assert.Equal(64, refused.ExitCode);
        Assert.Contains("line 1", Assert.Single(refused.ErrorLines), StringComparison.Ordinal);
        Assert.Equal(before, _family.Member("app").GetProperty("pid").GetInt32());

        File.WriteAllText(_family.FamilyFile, Json("echo version 2; exec 0</dev/null; while :; do read x; done"));
        Assert.Equal(0, _family.Ask("restart", "app").ExitCode);
        host.AwaitOutput("version 2");
        host.AwaitError("rpal: app  restart requested by rpal restart\n");
        Assert.Equal(1, _family.Member("app").GetProperty("restarts").GetInt32());
        Assert.Equal("on-failure", _family.Member("app").GetProperty("restart").GetString());
        Assert.Equal(0, _family.Ask("restart", "app", "--", "sh", "-c", "echo version 3").ExitCode);
        host.AwaitOutput("version 3");

        static string Json(string script) => JsonSerializer.Serialize(new { members = new[] { new { name = "app", command = "/bin/sh", arguments = new[] { "-c", script } } } });
    }

    [Theory]
    [InlineData(127, "no-such-program: command not found on PATH", "no-such-program")]
    [InlineData(127, "no such file", "./no-such-program")]
    [InlineData(126, "is a directory", "/")]
    [InlineData(126, "is not executable", "PLAIN")]
    [InlineData(126, "neither an ELF program nor a script", "TEXT")]
    public void A_replacement_that_cannot_be_started_is_refused_as_run_would_and_the_old_one_goes_on(int exitCode, string reason, string program)
    {
        string file = Path.Combine(_family.Folder, program);
        if (program is "PLAIN" or "TEXT")
        {
            File.WriteAllText(file, "no program at all, long enough to be mistaken for an ELF header by its length");
            File.SetUnixFileMode(file, UnixFileMode.UserRead | (program == "TEXT" ? UnixFileMode.UserExecute : UnixFileMode.None));
            program = file;
        }

        RpalProcess host = _family.Run("sh", "-c", Talks);
        host.AwaitOutput("three");
        int before = _family.Member("sh").GetProperty("pid").GetInt32();
        RpalProcess.Result refused = _family.Ask("restart", "sh", "--", program, "argument"), asRun = RpalProcess.Run("run", program, "argument");
        Assert.Equal((exitCode, asRun.Error), (refused.ExitCode, refused.Error));
        Assert.Equal(exitCode, asRun.ExitCode);
        Assert.Contains(reason, Assert.Single(refused.ErrorLines), StringComparison.Ordinal);
        JsonElement now = _family.Member("sh");
        Assert.Equal((before, 0), (now.GetProperty("pid").GetInt32(), now.GetProperty("restarts").GetInt32()));
    }

    [Fact]
    public void A_member_starts_again_although_the_directory_that_rpal_was_started_in_has_been_removed()
    {
        string gone = Directory.CreateDirectory(Path.Combine(_family.Folder, "gone")).FullName;
        using var host = new RpalProcess(gone, ["run", "sh", "-c", "readlink /proc/$$/cwd; exec sleep 1000"],
            runtimeFolder: _family.Folder);
        host.AwaitOutput(gone);
        Directory.Delete(gone);
        Assert.Equal(0, _family.Ask("restart", "sh").ExitCode);
        host.AwaitOutput($"{gone} (deleted)");
        RpalProcess.Result refused = _family.Ask("restart", "sh", "--", "./program");
        Assert.Equal(126, refused.ExitCode);
        Assert.Contains("the directory that rpal was started in has been removed", Assert.Single(refused.ErrorLines),
            StringComparison.Ordinal);
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        _ = host.End();
    }

    [Fact]
    public void Kill_sends_a_signal_and_the_policy_applies()
    {
        RpalProcess host = _family.Run("--restart", "on-failure", "sh", "-c", "trap 'echo told' USR1; " + Talks);
        host.AwaitOutput("three");
        Assert.Equal(0, _family.Ask("kill", "-s", "usr1", "sh").ExitCode);
        host.AwaitOutput("told");
        host.AwaitError("rpal: sh  sent SIGUSR1 by rpal kill\n");
        Assert.Equal(0, _family.Ask("kill", "sh").ExitCode);
        host.AwaitError("starts again in 0.1 s, attempt 1: killed by SIGKILL");
        host.AwaitOutput("told\nsh  | one");
        Assert.Equal(64, _family.Ask("kill", "-s", "nothing", "sh").ExitCode);
    }

    [Fact]
    public void Unknown_members_are_named_with_those_there_are()
    {
        _family.Run("sh", "-c", Talks).AwaitOutput("three");
        foreach (string[] words in (string[][])[["logs", "no"], ["stop", "no"], ["restart", "no"], ["kill", "no"]])
        {
            RpalProcess.Result r = _family.Ask(words);
            Assert.Equal(64, r.ExitCode);
            Assert.Contains("no: no such member. Members: sh.", Assert.Single(r.ErrorLines), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Of_two_families_one_is_chosen()
    {
        RpalProcess first = _family.Run("sh", "-c", Talks), second = _family.Run("sleep", "1000");
        first.AwaitOutput("three");
        second.AwaitError("started");
        RpalProcess.Result r = _family.Ask("ps");
        Assert.Equal(64, r.ExitCode);
        Assert.Contains($"{first.Pid} (sh)", Assert.Single(r.ErrorLines), StringComparison.Ordinal);
        Assert.Contains($"{second.Pid} (sleep)", r.Error, StringComparison.Ordinal);
        Assert.Equal(second.Pid, _family.Ps("--host", $"{second.Pid}").GetProperty("hostPid").GetInt32());
        Assert.Equal(69, _family.Ask("ps", "--host", "1").ExitCode);
    }

    [Fact]
    public void A_dead_hosts_socket_is_no_family_and_is_removed()
    {
        Assert.Equal(69, _family.Ask("ps").ExitCode);
        RpalProcess host = _family.Run("--on-host-exit", "kill", "sh", "-c", Talks);
        host.AwaitOutput("three");
        RunningFamily.Kill(host.Pid);
        _ = host.End();
        Assert.True(File.Exists(_family.Socket(host.Pid)));
        Assert.Equal(69, _family.Ask("ps").ExitCode);
        Assert.False(File.Exists(_family.Socket(host.Pid)));
    }

    [Fact]
    public void The_folder_of_the_sockets_is_the_users_alone()
    {
        _family.Run("sh", "-c", Talks).AwaitOutput("three");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.Combine(_family.Folder, "rpal")));
    }

    [Theory]
    [InlineData("garbage\n")]
    [InlineData("{\"op\":null}\n")]
    [InlineData("null\n")]
    [InlineData("{\"op\":\"kill\",\"member\":\"sh\",\"signal\":4711}\n")]
    [InlineData("{\"op\":\"restart\"}\n")]
    [InlineData("{\"op\":\"restart\",\"member\":\"sh\",\"command\":[null]}\n")]
    [InlineData("{\"op\":\"restart\",\"member\":\"sh\",\"command\":[\"sleep\",null]}\n")]
    [InlineData("{\"op\":\"restart\",\"member\":\"sh\",\"command\":[\"/x\\u0000y\"]}\n")]
    [InlineData("{\"op\":\"restart\",\"member\":\"sh\",\"command\":[\"\"]}\n")]
    [InlineData("{\"op\":\"restart\",\"member\":\"sh\",\"command\":[]}\n")]
    [InlineData("{\"op\":\"logs\",\"members\":[null]}\n")]
    [InlineData("{\"op\":\"logs\",\"members\":[\"\"]}\n")]
    public void A_wrong_request_is_answered_with_an_error(string request)
    {
        RpalProcess host = _family.Run("sh", "-c", Talks);
        host.AwaitOutput("three");
        using Socket peer = Connect(host);
        peer.Send(Encoding.UTF8.GetBytes(request));
        byte[] answer = new byte[65536];
        Assert.Contains("\"error\"", Encoding.UTF8.GetString(answer, 0, peer.Receive(answer)), StringComparison.Ordinal);
        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
    }

    [Fact]
    public void Wrong_requests_use_up_no_connection()
    {
        const int more = 40;                                     // than connections at a time
        RpalProcess host = _family.Run("sh", "-c", Talks);
        host.AwaitOutput("three");
        for (int i = 0; i < more; i++)
        {
            using Socket peer = Connect(host);
            peer.Send("{\"op\":\"logs\",\"members\":[null]}\n"u8);
            byte[] answer = new byte[4096];
            Assert.Contains("\"error\"", Encoding.UTF8.GetString(answer, 0, peer.Receive(answer)), StringComparison.Ordinal);
        }

        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
    }

    [Fact]
    public void Clients_that_say_too_much_or_nothing_harm_nobody()
    {
        RpalProcess host = _family.Run("sh", "-c", Talks);
        host.AwaitOutput("three");
        using Socket loud = Connect(host), silent = Connect(host);
        try
        {
            byte[] chunk = new byte[65536];
            for (int i = 0; i < 100; i++)
            {
                loud.Send(chunk);
            }
        }
        catch (SocketException)
        {
            // the host has closed it
        }

        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
        Assert.Equal(0, silent.Receive(new byte[1]));            // dropped
    }

    [Fact]
    public void A_slow_follower_does_not_slow_the_members()
    {
        RpalProcess host = _family.Run("--no-prefix", "sh", "-c", $"echo up; read x <{Pipe()}; seq 1 300000; echo done; read x <{Pipe()}");
        host.AwaitOutput("up");
        using Socket slow = Connect(host);
        slow.Send("{\"op\":\"logs\",\"follow\":true}\n"u8);
        Assert.NotEqual(0, slow.Receive(new byte[1]));           // it follows, and reads no more
        File.WriteAllText(Pipe(), "go\n");
        host.AwaitOutput("done");
        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
    }

    private Socket Connect(RpalProcess host)
    {
        var peer = new Socket(AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)RunningFamily.Patience.TotalMilliseconds };
        peer.Connect(new UnixDomainSocketEndPoint(_family.Socket(host.Pid)));
        return peer;
    }

    private string Pipe()
    {
        string path = Path.Combine(_family.Folder, "pipe");
        if (!File.Exists(path))
        {
            Assert.Equal(0, Child.Run(RunningFamily.Patience, "mkfifo", path).ExitCode);
        }

        return path;
    }
}
