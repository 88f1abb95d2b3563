namespace Rpal.Cli.Tests;

public sealed class RunDefinitionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("rpal-cli-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("family.json", false)]
    [InlineData("other.name", true)]
    public void A_family_file_gives_environment_and_working_directory(string name, bool option)
    {
        Directory.CreateDirectory(Path.Combine(_directory, "sub"));
        string file = Write(name, """
            { "members": [
                // comments are fine
                { "name": "one", "command": "sh", "arguments": ["-c", "echo $GREETING; pwd"], "environment": { "GREETING": "hello" }, "workingDirectory": "sub" },
                { "name": "two", "command": "sh", "arguments": ["-c", "echo ${HOME-none}; exit 4"], "environment": { "HOME": null } },
            ] }
            """);
        RpalProcess.Result r = option ? RpalProcess.Run("run", "--file", file) : RpalProcess.Run("run", file);
        Assert.Equal([$"one  | hello", $"one  | {_directory}/sub", "two  | none"], r.OutputLines.OrderBy(l => l[..3]).ToArray());
        Assert.Equal(4, r.ExitCode);
    }

    [Theory]
    [InlineData("--accounting", false)]
    [InlineData("--no-color", true)]
    public void Accounting_is_an_option_and_a_field(string option, bool field)
    {
        string file = Write("family.json", $$"""{ "accounting": {{(field ? "true" : "false")}}, "members": [{ "name": "one", "command": "true" }] }""");
        RpalProcess.Result r = RpalProcess.Run("run", option, file);
        Assert.True(r.ExitCode == 0, r.Error);
    }

    [Theory]
    [InlineData("{", "line 1")]
    [InlineData("{}", "Members")]
    [InlineData("""{ "members": [] }""", "0 members")]
    [InlineData("""{ "members": [{ "name": "a b", "command": "true" }] }""", "member name 'a b'")]
    [InlineData("""{ "members": [{ "name": "a", "command": "true" }, { "name": "a", "command": "true" }] }""", "two members are named 'a'")]
    [InlineData("""{ "members": [{ "name": "a", "command": "true", "comand": "x" }] }""", "comand")]
    public void A_wrong_family_file_is_one_line_that_says_where(string text, string expected)
    {
        string file = Write("family.json", text);
        RpalProcess.Result r = RpalProcess.Run("run", file);
        Assert.Equal(64, r.ExitCode);
        Assert.StartsWith($"rpal: {file}: ", Assert.Single(r.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(expected, r.Error, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_missing_family_file_is_no_input()
    {
        RpalProcess.Result r = RpalProcess.Run("run", Path.Combine(_directory, "none.json"));
        Assert.Equal(66, r.ExitCode);
        Assert.Contains("no such file", Assert.Single(r.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_program_is_127_and_stops_the_others()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "sleep", "100", "--", "no-such-program-here");
        Assert.Equal(127, r.ExitCode);
        Assert.Contains(r.ErrorLines, l => l.StartsWith("rpal: ", StringComparison.Ordinal) && l.Contains("no-such-program-here", StringComparison.Ordinal));
    }

    [Fact]
    public void The_exit_code_is_that_of_the_first_member_that_failed()
    {
        string gate = Path.Combine(_directory, "gate");
        using var rpal = new RpalProcess("run", "sh", "-c", $"while [ ! -e {gate} ]; do sleep 0.02; done; exit 5", "--", "true", "--", "sh", "-c", "exit 6");
        rpal.AwaitError("sh-2  ended: exit code 6");
        File.WriteAllText(gate, "");
        Assert.Equal(6, rpal.End().ExitCode);
    }

    [Fact]
    public void Words_of_the_programs_are_theirs()
    {
        RpalProcess.Result r = RpalProcess.Run("run", "--no-prefix", "echo", "--json", "-h", "--help", "@file", "--no-such=1", "-", "", "[x]");
        Assert.Equal("--json -h --help @file --no-such=1 -  [x]\n", r.Output);
        Assert.Equal("--grace\n", RpalProcess.Run("run", "--no-prefix", "--grace", "1", "--", "echo", "--grace").Output);
    }

    [Theory]
    [InlineData("no such command", "bogus")]
    [InlineData("no such option", "run", "--bogus", "true")]
    [InlineData("No program given", "run")]
    [InlineData("A program is missing", "run", "true", "--", "--", "true")]
    [InlineData("--grace", "run", "--grace", "-1", "true")]
    [InlineData("--grace", "run", "--grace", "soon", "true")]
    [InlineData("--grace", "run", "--grace")]
    [InlineData("one or the other", "run", "--file", "x", "true")]
    [InlineData("takes nothing behind it", "run", "family.json", "extra")]
    [InlineData("no, on-failure, always", "run", "--restart", "sometimes", "true")]
    [InlineData("takes 1 or more", "run", "--restart-limit", "0", "true")]
    [InlineData("stop, kill, continue", "run", "--on-host-exit", "panic", "true")]
    [InlineData("SIGNAL", "kill", "-s", "SIGNAL", "a")]
    [InlineData("no such command or option", "doctor", "--bogus")]
    public void Usage_errors_are_one_line_and_64(string expected, params string[] arguments)
    {
        RpalProcess.Result r = RpalProcess.Run(arguments);
        Assert.Equal(64, r.ExitCode);
        Assert.Contains(expected, Assert.Single(r.ErrorLines), StringComparison.Ordinal);
        Assert.Empty(r.Output);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("restart")]
    [InlineData("kill")]
    public void Help_needs_no_arguments(string command)
    {
        RpalProcess.Result r = RpalProcess.Run(command, "--help");
        Assert.Equal((0, ""), (r.ExitCode, r.Error));
        Assert.Contains($"rpal {command}", r.Output, StringComparison.Ordinal);
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllText(path, text);
        return path;
    }
}
