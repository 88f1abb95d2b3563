using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>A command resolved as the kernel and a shell would: found on PATH, its script line followed.</summary>
/// <param name="File">The ELF file to load.</param>
/// <param name="Arguments">argv, with the interpreter's own words in front when the command is a script.</param>
internal sealed record ProgramFile(ExecutableFile File, IReadOnlyList<string> Arguments)
{
    /// <summary>Scripts naming scripts: as many as the kernel follows (BINPRM_MAX_RECURSION).</summary>
    private const int ScriptDepthLimit = 4;

    /// <summary>Bytes of a script's first line that count (BINPRM_BUF_SIZE).</summary>
    private const int ScriptLineBytes = 256;

    /// <exception cref="MemberStartException">Not found (127), or not something that can be started (126).</exception>
    public static ProgramFile Resolve(string command, IReadOnlyList<string> arguments, string workingDirectory, string? searchPath)
    {
        ExecutableFile file = Find(command, workingDirectory, searchPath);
        try
        {
            List<string> argv = [command, .. arguments];
            for (int depth = 0; depth <= ScriptDepthLimit; depth++)
            {
                if (ScriptLine(file) is not { } line)
                {
                    return new ProgramFile(file, argv);
                }

                if (line.EndsWith('\r'))
                {
                    throw new MemberStartException(126, $"{file.Path}: its first line ends in a carriage return, which is part of the interpreter's name or argument. Save the script with Unix line ends.");
                }

                string[] words = line.Split([' ', '\t'], 2, StringSplitOptions.RemoveEmptyEntries);
                if (words.Length == 0)
                {
                    throw new MemberStartException(126, $"{file.Path}: script without an interpreter: its first line is '#!' alone. "
                        + "Name one, as in '#!/bin/sh'.");
                }

                argv[0] = file.Path;
                argv.InsertRange(0, words);
                ExecutableFile interpreter = Interpreter(file.Path, words[0], workingDirectory,
                    "Install it or correct the script's first line.");
                file.Dispose();
                file = interpreter;
            }

            throw new MemberStartException(126, $"{command}: more than {ScriptDepthLimit} scripts name each other as interpreter.");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens what a script or an ELF file names as its interpreter.</summary>
    /// <exception cref="MemberStartException">126: it cannot be executed, or is missing.</exception>
    public static ExecutableFile Interpreter(string program, string name, string workingDirectory, string remedy)
    {
        string path = Path.GetFullPath(name, workingDirectory);
        try
        {
            return ExecutableFile.Open(path);
        }
        catch (MemberStartException e)
        {
            throw new MemberStartException(126, e.ExitCode == 127 ? $"{program}: its interpreter {name} does not exist. {remedy}" : $"{program}: its interpreter cannot be used: {e.Message}");
        }
    }

    /// <summary>As execvp(3): what cannot be executed does not hide a program further back on PATH, but is what is told when there is
    /// none.</summary>
    private static ExecutableFile Find(string command, string workingDirectory, string? searchPath)
    {
        if (command.Length == 0)
        {
            throw new MemberStartException(127, "The command is empty. Give a program's name or path.");
        }

        if (command.Contains('/'))
        {
            return ExecutableFile.Open(Path.GetFullPath(command, workingDirectory), command);
        }

        MemberStartException? refusal = null;
        foreach (string directory in (searchPath ?? "/usr/local/bin:/usr/bin:/bin").Split(':'))
        {
            string path = Path.GetFullPath(Path.Combine(directory.Length == 0 ? "." : directory, command), workingDirectory);
            if (Sys.Access(path) is -(int)Errno.ENOENT or -(int)Errno.ENOTDIR)
            {
                continue;
            }

            try
            {
                return ExecutableFile.Open(path);
            }
            catch (MemberStartException e) when (e.ExitCode == 126)
            {
                refusal ??= e;
            }
        }

        throw refusal ?? new MemberStartException(127, $"{command}: command not found on PATH.");
    }

    /// <summary>What the kernel takes for the line: up to its end or a NUL, without blanks around it. A carriage return is part of it.</summary>
    private static string? ScriptLine(ExecutableFile file)
    {
        Span<byte> start = stackalloc byte[ScriptLineBytes];
        start = start[..file.Read(start, 0)];
        if (!start.StartsWith("#!"u8))
        {
            return null;
        }

        int end = start.IndexOfAny((byte)'\n', (byte)0);
        return System.Text.Encoding.UTF8.GetString(start[2..(end < 0 ? start.Length : end)]).Trim(' ', '\t');
    }
}
