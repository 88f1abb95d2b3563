using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>A member's program as its files are: opened and checked. Looking at it starts nothing, and every start does it first.</summary>
/// <remarks>Without a directory it has the host's, also when that has been removed.</remarks>
internal sealed record MemberImage(string? Directory, IReadOnlyDictionary<string, string> Environment, ProgramFile Program, ElfFile Elf,
    ElfFile? Interpreter) : IDisposable
{
    /// <summary>What the main thread's stack has from the beginning: room for <see cref="InitialStack"/>, and what execve leaves below
    /// it.</summary>
    private const long FirstStackBytes = InitialStack.StringsLimitBytes + (128 << 10);

    /// <exception cref="MemberStartException">127 not found, 126 found but cannot be started.</exception>
    public static MemberImage Open(MemberDefinition definition)
    {
        string? directory = WorkingDirectory(definition);
        Dictionary<string, string> environment = EnvironmentOf(definition);
        ProgramFile program = ProgramFile.Resolve(definition.Command, definition.Arguments, directory ?? "/",
            environment.GetValueOrDefault("PATH"));
        ExecutableFile? interpreter = null;
        try
        {
            ElfFile elf = ElfFile.Read(program.File);
            interpreter = elf.Interpreter is null ? null
                : ProgramFile.Interpreter(elf.Path, elf.Interpreter, directory ?? "/",
                "This system has another C library than the program was built for.");
            return new MemberImage(directory, environment, program, elf, interpreter is null ? null : ElfFile.Read(interpreter));
        }
        catch
        {
            program.File.Dispose();
            interpreter?.Dispose();
            throw;
        }
    }

    /// <summary>Maps it into an empty slot, with its stack.</summary>
    /// <returns>Where it begins: instruction and stack pointer.</returns>
    /// <exception cref="MemberStartException">It cannot be mapped, and what was stays.</exception>
    public unsafe (long Entry, long StackPointer) Map(string name, SlotSpace space, MemberBlock* block)
    {
        long bias = ElfLoader.Load(Elf, space.Base);
        long interpreterBias = Interpreter is null ? 0 : ElfLoader.Load(Interpreter, space.Base + SlotSpace.InterpreterOffset);
        long stackPointer = InitialStack.Build(MapStack(name, space), Program, Environment, Elf, bias, interpreterBias, block);
        return (Interpreter is null ? Elf.EntryAddress + bias : Interpreter.EntryAddress + interpreterBias, stackPointer);
    }

    public void Dispose()
    {
        Program.File.Dispose();
        Interpreter?.File.Dispose();
    }

    /// <summary>It grows down when it is touched, as far as the member's own RLIMIT_STACK says at that moment, as every main
    /// thread's.</summary>
    private static long MapStack(string name, SlotSpace space)
    {
        long top = space.Base + SlotSpace.StackEnd;
        const int stack =
            MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.Stack | MapFlags.GrowsDown | MapFlags.FixedNoreplace;
        nint r = Sys.Mmap((nint)(top - FirstStackBytes), (nuint)FirstStackBytes, Prot.Read | Prot.Write, stack, -1, 0);
        return r < 0 ? throw MappingRefusal.Of($"{name}: mapping its stack of {FirstStackBytes} bytes", (int)r) : top;
    }

    private static string? WorkingDirectory(MemberDefinition definition)
    {
        string? host = HostDirectory();
        if (definition.WorkingDirectory is not { } wanted)
        {
            return host is null && definition.Command.Contains('/') && definition.Command is not ['/', ..]
                ? throw Removed(definition, $"{definition.Command} is relative to it")
                : host;
        }

        string directory = wanted is ['/', ..] ? Path.GetFullPath(wanted) : Path.GetFullPath(wanted, host ?? throw Removed(definition, $"its working directory {wanted} is relative to it"));
        return System.IO.Directory.Exists(directory) ? directory
            : throw new MemberStartException(126, $"{definition.Name}: working directory {directory} does not exist.");
    }

    private static MemberStartException Removed(MemberDefinition definition, string what) =>
        new(126, $"{definition.Name}: the directory that rpal was started in has been removed, and {what}. Give an absolute path.");

    /// <returns>Null: it has been removed.</returns>
    private static string? HostDirectory()
    {
        try
        {
            return System.IO.Directory.GetCurrentDirectory();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static Dictionary<string, string> EnvironmentOf(MemberDefinition definition)
    {
        Dictionary<string, string> environment = [];
        foreach (System.Collections.DictionaryEntry e in System.Environment.GetEnvironmentVariables())
        {
            environment[(string)e.Key] = (string?)e.Value ?? "";
        }

        foreach ((string name, string? value) in definition.Environment)
        {
            if (value is null)
            {
                environment.Remove(name);
            }
            else
            {
                environment[name] = value;
            }
        }

        return environment;
    }
}
