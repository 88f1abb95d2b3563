using System.Net.Sockets;

namespace Rpal.Cli.Tests;

/// <summary>A host that runs out of descriptors: it lives, says so, and goes on when there are some again.</summary>
public sealed class DescriptorLimitTests : IDisposable
{
    private const string Talks = "echo up; exec 3<>/dev/null; while :; do read x </dev/null; sleep 1; done";

    private readonly RunningFamily _family = new();

    public void Dispose() => _family.Dispose();

    [Fact]
    public void A_host_without_descriptors_lives_and_goes_on_when_there_are_some_again()
    {
        const int far = 8;                                       // below every number in use
        RpalProcess host = _family.Run("--restart", "always", "sh", "-c", Talks, "--", RunningFamily.Program("Rpal.TestMember"), "serve-version", "1");
        host.AwaitOutput("version 1");
        int shell = RunningFamily.PidOf(host, "sh".PadRight("Rpal.TestMember".Length)), service = RunningFamily.PidOf(host, "Rpal.TestMember");
        string before = Limit(host.Pid, $"{far}:");
        int open = Descriptors(host.Pid);

        // Members end and cannot be started again, several askers wait: all that makes the runtime want threads.
        List<Socket> askers = [.. Enumerable.Range(0, 8).Select(_ => Ask(host))];
        RunningFamily.Kill(shell);
        RunningFamily.Kill(service);
        string refused = host.AwaitErrorLine("attempt 2");
        Assert.Contains("needs 12 descriptors", refused, StringComparison.Ordinal);
        Assert.Contains($"RLIMIT_NOFILE is {far}", refused, StringComparison.Ordinal);
        Assert.Contains($"prlimit --nofile=N --pid {host.Pid}", refused, StringComparison.Ordinal);
        askers.ForEach(a => a.Dispose());
        askers = [.. Enumerable.Range(0, 8).Select(_ => Ask(host))];
        _ = host.AwaitErrorLine("attempt 4");
        Assert.True(RunningFamily.IsAlive(host.Pid));

        _ = Limit(host.Pid, before);
        _family.Comes(() => _family.Ps().GetProperty("members").EnumerateArray().All(m => m.GetProperty("state").GetString() == "running"));
        foreach (Socket asker in askers)                         // who waited is answered
        {
            using (asker)
            {
                Assert.NotEqual(0, asker.Receive(new byte[1]));
            }
        }

        _family.Comes(() => _family.Ps().GetProperty("services").GetArrayLength() == 1);
        _family.Comes(() => Descriptors(host.Pid) == open);
        _family.Comes(() => _family.Ps().GetProperty("slotsFree").GetInt32() == 38);
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        Assert.Equal(2, host.End().ErrorLines.Count(l => l.Contains("sh ", StringComparison.Ordinal) && l.Contains("started: process", StringComparison.Ordinal)));
    }

    [Fact]
    public void What_is_asked_of_a_host_opens_nothing_that_stays()
    {
        RpalProcess host = _family.Run("sh", "-c", Talks);
        host.AwaitOutput("up");
        int open = Descriptors(host.Pid);
        Assert.Equal("running", _family.Member("sh").GetProperty("state").GetString());
        Assert.Equal(0, _family.Ask("restart", "sh").ExitCode);
        host.AwaitOutput("up\nsh  | up");
        Assert.Equal(0, _family.Ask("logs").ExitCode);
        Assert.Equal(64, _family.Ask("stop", "no").ExitCode);
        _family.Comes(() => Descriptors(host.Pid) == open);      // assemblies among them: the runtime holds two descriptors for each
    }

    [Fact]
    public void A_family_that_needs_more_descriptors_than_there_are_is_refused()
    {
        const int tooFew = 256;
        string members = string.Join(" -- ", Enumerable.Repeat("true", 40));
        using var rpal = RpalProcess.AfterShell($"ulimit -n {tooFew}", ["run", .. members.Split(' ')]);
        RpalProcess.Result r = rpal.End();
        Assert.Equal(125, r.ExitCode);
        Assert.StartsWith("rpal: A family of 40 needs ", Assert.Single(r.ErrorLines), StringComparison.Ordinal);
        Assert.Contains($"RLIMIT_NOFILE is {tooFew}", r.Error, StringComparison.Ordinal);
        Assert.Contains("ulimit -n", r.Error, StringComparison.Ordinal);
    }

    private Socket Ask(RpalProcess host)
    {
        var peer = new Socket(AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)RunningFamily.Patience.TotalMilliseconds };
        peer.Connect(new UnixDomainSocketEndPoint(_family.Socket(host.Pid)));
        peer.Send("{\"op\":\"ps\"}\n"u8);
        return peer;
    }

    /// <summary>Sets the soft RLIMIT_NOFILE.</summary>
    /// <returns>What it was, for the next call.</returns>
    private static string Limit(int pid, string soft)
    {
        string was = Output("prlimit", "--nofile", "--noheadings", "--output=SOFT", "--raw", $"--pid={pid}").Trim();
        _ = Output("prlimit", $"--nofile={soft}", $"--pid={pid}");
        return $"{was}:";
    }

    private static string Output(string command, params string[] arguments)
    {
        ChildOutput r = Child.Run(RunningFamily.Patience, command, arguments);
        Assert.True(r.ExitCode == 0, r.Error);
        return r.Output;
    }

    private static int Descriptors(int pid) => Directory.GetFileSystemEntries($"/proc/{pid}/fd").Length;
}
