using System.Text;
using System.Text.Json;
using Rpal.Cli.Output;
using Rpal.Linux;

namespace Rpal.Cli.Tests;

public sealed class RunOutputTests
{
    [Fact]
    public void Lines_carry_their_members_name_padded_to_equal_width()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "echo", "one", "--", "printf", "two\nthree");
        Assert.Equal(["echo    | one", "printf  | three", "printf  | two"], r.OutputLines.Order(StringComparer.Ordinal));
        Assert.Equal(0, r.ExitCode);
    }

    [Fact]
    public void Standard_error_stays_apart_and_says_what_was_started()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "sh", "-c", "echo out; echo wrong >&2");
        Assert.Equal(["sh  | out"], r.OutputLines);
        Assert.Contains("sh  | wrong", r.ErrorLines);
        Assert.Matches("^rpal: sh  started: process [0-9]+, slot 0x100000000000$", r.ErrorLines[0]);
    }

    [Fact]
    public void The_summary_has_a_row_per_member_in_the_order_of_the_command_line()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "sh", "-c", "exit 3", "--", "sh", "-c", "kill -9 $$", "--", "true");
        Assert.Matches("^sh-1    exit code 3        [0-9.]+ s$", r.ErrorLines[^3]);
        Assert.Matches("^sh-2    killed by SIGKILL  [0-9.]+ s$", r.ErrorLines[^2]);
        Assert.Matches("^true    exit code 0        [0-9.]+ s$", r.ErrorLines[^1]);
    }

    [Fact]
    public void Bytes_pass_unchanged()
    {
        byte[] expected = [.. "printf  | "u8, 0xff, 0xfe, (byte)' ', 1, 0xc3, (byte)'\r', (byte)'\n'];
        Assert.Equal(expected, RpalProcess.Run("run", "printf", @"\377\376 \001\303\r\n").OutputBytes);
    }

    [Fact]
    public void Without_prefix_many_lines_arrive_whole_and_in_order()
    {
        const int lines = 200_000;
        RpalProcess.Result r = RpalProcess.Run("run", "--no-prefix", "seq", "1", $"{lines}");
        Assert.Equal(string.Join('\n', Enumerable.Range(1, lines)) + "\n", r.Output);
    }

    [Fact]
    public void Json_is_one_object_per_line_and_exact()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "--json", "printf", @"text \303\274 \"" \\ \n\377\n", "--", "sh", "-c", "echo no >&2; kill -TERM $$");
        List<JsonElement> events = [.. r.OutputLines.Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Empty(r.Error);
        Assert.Equal(2, events.Count(e => Kind(e) == "started" && e.GetProperty("pid").GetInt32() > 0 && e.GetProperty("slot").GetString()!.StartsWith("0x", StringComparison.Ordinal)));
        List<JsonElement> lines = [.. events.Where(e => Kind(e) == "line" && e.GetProperty("member").GetString() == "printf")];
        Assert.Equal("text ü \" \\ ", lines[0].GetProperty("text").GetString());
        Assert.Equal([0xff], lines[1].GetProperty("base64").GetBytesFromBase64());
        Assert.Contains(events, e => Kind(e) == "line" && e.GetProperty("stream").GetString() == "stderr" && e.GetProperty("text").GetString() == "no");
        Assert.Contains(events, e => Kind(e) == "ended" && e.GetProperty("member").GetString() == "sh" && e.GetProperty("signal").GetString() == "SIGTERM");
        Assert.Equal("summary", Kind(events[^1]));
        Assert.Equal(143, events[^1].GetProperty("exitCode").GetInt32());
        Assert.Equal(143, r.ExitCode);

        static string? Kind(JsonElement e) => e.GetProperty("event").GetString();
    }

    [Fact]
    public void When_nobody_reads_the_members_are_stopped()
    {
        using var rpal = new RpalProcess("run", "yes");
        rpal.AwaitOutput("yes  | y");
        rpal.CloseOutput();
        Assert.Equal(128 + Signal.SIGTERM, rpal.End(readOutput: false).ExitCode);
    }

    [Theory]
    [InlineData(false, "a   | x\n")]
    [InlineData(true, "\e[36ma   | \e[0mx\n")]
    public void Only_the_prefix_is_coloured(bool colors, string expected)
    {
        Assert.Equal(0, Sys.Pipe2(out int read, out int write, OpenFlags.CloseOnExec));
        using (var writer = new OutputWriter(write, write))
        {
            new TextView(writer, ["a", "bc"], prefix: true, outputColors: colors, errorColors: false).Line("a", false, "x"u8);
        }

        _ = Sys.Close(write);
        Assert.Equal(expected, ReadAll(read));
    }

    [Theory]
    [InlineData(9, "SIGKILL")]
    [InlineData(31, "SIGSYS")]
    [InlineData(34, "SIGRTMIN")]
    [InlineData(64, "SIGRTMIN+30")]
    [InlineData(99, "signal 99")]
    public void Signals_have_names(int signal, string name) => Assert.Equal(name, SignalName.Of(signal));

    private static unsafe string ReadAll(int fd)
    {
        byte[] buffer = new byte[1024];
        fixed (byte* p = buffer)
        {
            nint n = Sys.Read(fd, p, (nuint)buffer.Length);
            _ = Sys.Close(fd);
            return Encoding.UTF8.GetString(buffer, 0, (int)n);
        }
    }
}
