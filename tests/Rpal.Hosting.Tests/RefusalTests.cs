namespace Rpal.Hosting.Tests;

/// <summary>What cannot be started: one clear line, a shell's exit code, and nothing left running.</summary>
public sealed class RefusalTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public Task A_missing_file_is_refused() => RefusedAsync(127, "no such file", $"{_folder.Path}/none");

    [Fact]
    public Task A_missing_command_is_refused() => RefusedAsync(127, "command not found", "no-such-command-anywhere");

    [Fact]
    public Task A_directory_is_refused() => RefusedAsync(126, "is a directory", _folder.Path);

    [Fact]
    public Task A_file_that_is_not_executable_is_refused() => RefusedAsync(126, "not executable", _folder.File("plain", "#!/bin/sh\n", executable: false));

    [Fact]
    public Task A_text_file_is_refused() => RefusedAsync(126, "neither an ELF program nor a script", _folder.File("text", "just some text, long enough to be mistaken for an ELF header by its length\n"));

    [Fact]
    public Task An_empty_file_is_refused() => RefusedAsync(126, "neither an ELF program nor a script", _folder.File("empty", ""));

    [Fact]
    public Task A_named_pipe_is_refused_without_waiting_for_a_writer()
    {
        string pipe = _folder.NamedPipe("pipe");
        File.SetUnixFileMode(pipe, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return RefusedAsync(126, "not a regular file", pipe);
    }

    [Fact]
    public Task A_script_with_a_missing_interpreter_is_refused() => RefusedAsync(126, "/no/such/interpreter does not exist", _folder.File("script", "#!/no/such/interpreter\n"));

    [Fact]
    public Task A_script_without_an_interpreter_is_refused() => RefusedAsync(126, "script without an interpreter", _folder.File("script", "#!\n"));

    [Fact]
    public Task A_script_with_the_line_ends_of_another_system_is_refused() => RefusedAsync(126, "carriage return", _folder.File("script", "#!/bin/sh\r\n"));

    [Fact]
    public Task A_script_line_ends_at_a_NUL() => RefusedAsync(126, "/no/such/interpreter does not exist", _folder.File("script", "#!/no/such/interpreter\0 x\n"));

    [Fact]
    public Task A_script_whose_interpreter_is_not_executable_is_refused() =>
        RefusedAsync(126, "not executable", _folder.File("script", $"#!{_folder.File("plain", "text", executable: false)}\n"));

    [Fact]
    public Task A_script_that_names_itself_is_refused()
    {
        string path = Path.Combine(_folder.Path, "self");
        return RefusedAsync(126, "name each other", _folder.File("self", $"#!{path}\n"));
    }

    [Fact]
    public Task A_program_for_another_architecture_is_refused() => RefusedAsync(126, "another architecture", Patched("arm", 18, 183));

    [Fact]
    public Task A_32_bit_program_is_refused() => RefusedAsync(126, "another architecture", Patched("small", 4, 1));

    [Fact]
    public Task An_object_file_is_refused() => RefusedAsync(126, "is not a program", Patched("object", 16, 1));

    [Theory]
    [InlineData(10)]
    [InlineData(64)]
    [InlineData(100)]
    [InlineData(5000)]
    [InlineData(20000)]
    public Task A_truncated_program_is_refused(int length) => RefusedAsync(126, "", _folder.File("cut", File.ReadAllBytes("/bin/echo")[..length]));

    [Fact]
    public Task A_program_with_an_entry_outside_its_code_is_refused() => RefusedAsync(126, "entry address", Patched("lost", 30, 0x40));

    [Fact]
    public Task A_program_with_too_many_headers_is_refused() => RefusedAsync(126, "program header table", Patched("headers", 57, 0xFF));

    [Fact]
    public Task A_missing_ELF_interpreter_is_refused()
    {
        byte[] echo = File.ReadAllBytes("/bin/echo");
        int at = echo.AsSpan().IndexOf("/lib64/ld-linux"u8);
        echo[at + 1] = (byte)'X';
        return RefusedAsync(126, "/Xib64/ld-linux-x86-64.so.2 does not exist", _folder.File("lost", echo));
    }

    [Fact]
    public Task An_ELF_interpreter_without_a_name_is_refused()
    {
        byte[] echo = File.ReadAllBytes("/bin/echo");
        echo[echo.AsSpan().IndexOf("/lib64/ld-linux"u8)] = 0;
        return RefusedAsync(126, "its PT_INTERP entry is empty", _folder.File("empty", echo));
    }

    [NeedsGccFact]
    public Task A_static_program_that_is_not_position_independent_is_refused() =>
        RefusedAsync(126, "not position independent", Programs.Probe("-static", "-no-pie"));

    [Fact]
    public Task A_program_that_says_it_has_fixed_addresses_is_refused()
    {
        const int typeOffset = 16, fixedAddresses = 2;           // e_type, ET_EXEC
        return RefusedAsync(126, "not position independent", Patched("fixed", typeOffset, fixedAddresses));
    }

    [Fact]
    public async Task A_missing_working_directory_is_refused()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/true") { WorkingDirectory = "/no/such/place" });
        Assert.Equal(126, run.ExitCode);
        Assert.Contains("/no/such/place", run.Error);
    }

    [Fact]
    public async Task Arguments_that_are_too_large_are_refused()
    {
        string part = new('x', 100_000);                         // the kernel allows 128 KiB for one when the host itself is started
        using var run = new HostRun(start =>
        {
            for (int i = 0; i < 13; i++)
            {
                start.Environment[$"LARGE_{i}"] = part;
            }
        }, new MemberFile("a", "/bin/true", [.. Enumerable.Repeat(part, 9)]));
        await run.EndAsync();
        Assert.Equal(126, run.ExitCode);
        Assert.Contains("more than 2097152 bytes", run.Error);
    }

    [Theory]
    [InlineData("""{ "members": [ null ] }""", "null")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "arguments": null } ] }""", "arguments")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "arguments": [ null ] } ] }""", "null")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "environment": null } ] }""", "environment")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "environment": { "A=B": "c" } } ] }""", "A=B")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "environment": { "": "c" } } ] }""", "environment variable")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b\u0000" } ] }""", "zero character")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "workingDirectory": "x\u0000" } ] }""", "zero character")]
    [InlineData("""{ "members": [] }""", "0 members")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b" }, { "name": "a", "command": "b" } ] }""", "two members")]
    [InlineData("""{ "members": [ { "name": "a", "comand": "b" } ] }""", "comand")]
    [InlineData("""[""", "line 1, column 2: expected a value, or ], and the file ends")]
    [InlineData("", "line 1, column 1: expected { \"members\": ... }, and the file ends")]
    [InlineData("{ \"members\": [\n  { \"näme\": \"a\" \"command\": \"b\" } ] }", "line 2, column 17: expected a comma, or } for the end of the object, and there is '\"'")]
    [InlineData("""{ "members": [ { name: "a" } ] }""", "line 1, column 18: expected a field's name in quotes, or }, and there is 'n'")]
    [InlineData("""{ "members": [ { "name": a } ] }""", "column 26: expected a value behind the colon (a text is in quotes; without are true, false and null)")]
    [InlineData("""{ "members" [] }""", "column 13: expected a colon behind the field's name")]
    [InlineData("{ \"members\": [ { \"name\": \"a\n\" } ] }", "column 28: expected the closing quote of the text on the same line")]
    [InlineData("""{ "members": [ 01 ] }""", "column 17: expected the end of the number")]
    [InlineData("""{ "members": [ "\ud800" ] }""", "expected the two halves of a character")]
    [InlineData("""{ "members": [ "\q" ] }""", "behind the backslash, and there is 'q'")]
    [InlineData("""{ "members": [ /* ] }""", "column 16: expected */ behind the comment")]
    [InlineData("""{ "members": [] } more""", "column 19: expected nothing more behind the closing bracket, and there is 'm'")]
    [InlineData("""{ "members": [], "members": [] }""", "has the field \"members\" twice")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "command": "c" } ] }""", "member a has the field \"command\" twice")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "environment": { "X": "1", "X": "2" } } ] }""", "member a: \"environment\" has \"X\" twice")]
    public void A_wrong_family_file_is_refused_with_its_place(string json, string reason)
    {
        string file = _folder.File("family.json", json, executable: false);
        var refused = Assert.Throws<FormatException>(() => FamilyDefinition.Load(file));
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
        Assert.Contains(file, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("Json", refused.Message.Replace(file, "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void A_family_file_that_is_not_UTF8_or_too_deep_is_refused_with_its_place()
    {
        byte[] text = [.. "{ \"members\":\n \""u8, 0xff, .. "\" }"u8];
        Assert.Contains("line 2, column 3: expected text in UTF-8, and there is the byte 0xff", Refused(text), StringComparison.Ordinal);
        Assert.Contains("column 65: expected at most 64 brackets within each other", Refused(System.Text.Encoding.UTF8.GetBytes(new string('[', 100))), StringComparison.Ordinal);

        string Refused(byte[] content) => Assert.Throws<FormatException>(() => FamilyDefinition.Load(_folder.File("family.json", content))).Message;
    }

    [Fact]
    public void Comments_a_comma_at_the_end_and_a_byte_order_mark_are_fine()
    {
        byte[] text = [0xef, 0xbb, 0xbf, .. "/* one */ { // two\n \"members\": [ { \"name\": \"a\", \"command\": \"\\u00e4\\ud83d\\ude00\", \"stopGrace\": 1.5e0, }, ], } // three"u8];
        Assert.Equal("ä😀", FamilyDefinition.Load(_folder.File("family.json", text)).Members[0].Command);
    }

    /// <summary>With a member before it that is running already.</summary>
    private async Task RefusedAsync(int exitCode, string reason, string command)
    {
        using var run = new HostRun(null, new MemberFile("before", "/bin/sh", "-c", "sleep 1000 & sleep 1000"), new MemberFile("bad", command));
        await run.EndAsync();
        Assert.True(run.Error is not null, run.Transcript());
        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(reason, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', run.Error);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
        Assert.Equal(9, run.Ended("before").Signal);
        Assert.Empty(run.Resources("after").Children!);
        Assert.Equal(run.Resources("before").Descriptors, run.Resources("after").Descriptors);
    }

    private string Patched(string name, int offset, byte value)
    {
        byte[] echo = File.ReadAllBytes("/bin/echo");
        echo[offset] = value;
        return _folder.File(name, echo);
    }
}
