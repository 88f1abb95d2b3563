using Microsoft.Win32.SafeHandles;
using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>A command resolved as the kernel and a shell would: found on PATH, its script line followed.</summary>
/// <param name="Path">Absolute path of the ELF file to load.</param>
/// <param name="Arguments">argv, with the interpreter's own words in front when the command is a script.</param>
internal sealed record ProgramFile(string Path, IReadOnlyList<string> Arguments)
{
    /// <summary>Scripts naming scripts: as many as the kernel follows (BINPRM_MAX_RECURSION).</summary>
    private const int ScriptDepthLimit = 4;

    /// <summary>Bytes of a script's first line that count (BINPRM_BUF_SIZE).</summary>
    private const int ScriptLineBytes = 256;

    /// <summary>The path without symbolic links, as the kernel answers for /proc/PID/exe.</summary>
    public string RealPath { get; } = WithoutLinks(Path);

    /// <exception cref="MemberStartException">Not found (127), or not something that can be started (126).</exception>
    public static ProgramFile Resolve(string command, IReadOnlyList<string> arguments, string workingDirectory, string? searchPath)
    {
        string path = Find(command, workingDirectory, searchPath);
        List<string> argv = [command, .. arguments];
        for (int depth = 0; depth <= ScriptDepthLimit; depth++)
        {
            string? line = ScriptLine(path);
            if (line is null)
            {
                return new ProgramFile(System.IO.Path.GetFullPath(path), argv);
            }

            string[] words = line.Split([' ', '\t'], 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            if (words.Length == 0)
            {
                throw new MemberStartException(126, $"{path}: script without an interpreter: its first line is '#!' alone. Name one, as in '#!/bin/sh'.");
            }

            argv[0] = path;
            argv.InsertRange(0, words);
            string interpreter = System.IO.Path.GetFullPath(words[0], workingDirectory);
            if (!File.Exists(interpreter))
            {
                throw new MemberStartException(126, $"{path}: its interpreter {words[0]} does not exist. Install it or correct the script's first line.");
            }

            if (!IsExecutable(interpreter))
            {
                throw new MemberStartException(126, $"{path}: permission denied: its interpreter {words[0]} is not executable.");
            }

            path = interpreter;
        }

        throw new MemberStartException(126, $"{command}: more than {ScriptDepthLimit} scripts name each other as interpreter.");
    }

    private static string Find(string command, string workingDirectory, string? searchPath)
    {
        if (command.Length == 0)
        {
            throw new MemberStartException(127, "The command is empty. Give a program's name or path.");
        }

        if (command.Contains('/'))
        {
            string path = System.IO.Path.GetFullPath(command, workingDirectory);
            return Directory.Exists(path)
                ? throw new MemberStartException(126, $"{command}: is a directory.")
                : !File.Exists(path)
                ? throw new MemberStartException(127, $"{command}: no such file (looked for {path}).")
                : !IsExecutable(path)
                ? throw new MemberStartException(126, $"{command}: permission denied: {path} is not executable. chmod +x it, or name its interpreter.")
                : path;
        }

        foreach (string directory in (searchPath ?? "/usr/local/bin:/usr/bin:/bin").Split(':'))
        {
            string path = System.IO.Path.GetFullPath(System.IO.Path.Combine(directory.Length == 0 ? "." : directory, command), workingDirectory);
            if (File.Exists(path) && IsExecutable(path))
            {
                return path;
            }
        }

        throw new MemberStartException(127, $"{command}: command not found on PATH.");
    }

    private static bool IsExecutable(string path) =>
        (File.GetUnixFileMode(path) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0;

    private static string? ScriptLine(string path)
    {
        Span<byte> start = stackalloc byte[ScriptLineBytes];
        using FileStream file = OpenRegular(path);
        start = start[..file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        if (!start.StartsWith("#!"u8))
        {
            return null;
        }

        int end = start.IndexOf((byte)'\n');
        return System.Text.Encoding.UTF8.GetString(start[2..(end < 0 ? start.Length : end)]).Trim();
    }

    /// <summary>Opens a file for reading, without waiting for a writer when it is a named pipe.</summary>
    /// <exception cref="MemberStartException">It cannot be read, or is a pipe, a socket or a device.</exception>
    public static FileStream OpenRegular(string path)
    {
        int fd = Sys.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking | OpenFlags.CloseOnExec);
        if (fd < 0)
        {
            throw new MemberStartException(126, $"{path}: cannot be read: {ErrnoText.Describe(fd)}.");
        }

        try
        {
            var file = new FileStream(new SafeFileHandle(fd, ownsHandle: true), FileAccess.Read);
            if (file.CanSeek)
            {
                return file;
            }

            file.Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MemberStartException(126, $"{path}: cannot be read: {e.Message}");
        }

        throw new MemberStartException(126, $"{path}: is not a regular file.");
    }

    private static string WithoutLinks(string path)
    {
        int fd = Sys.Open(path, OpenFlags.Path | OpenFlags.CloseOnExec);
        string? real = fd < 0 ? null : Sys.Readlink($"/proc/self/fd/{fd}");
        _ = fd < 0 ? 0 : Sys.Close(fd);
        return real ?? path;
    }
}
