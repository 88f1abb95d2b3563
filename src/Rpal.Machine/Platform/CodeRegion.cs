using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Machine.Platform;

/// <summary>The family's machine code, mapped at its one address in this process: for the family, and for trying the platform before there is one.</summary>
internal static unsafe class CodeRegion
{
    private static readonly Lock s_lock = new();
    private static MachineCode? s_code;
    private static bool s_inject;

    /// <summary>Maps the code on first use, readable and executable.</summary>
    /// <param name="inject">Test builds of the machine code, see <see cref="Emitter"/>.</param>
    /// <param name="code">The code, also when it could not be mapped.</param>
    /// <returns>0, or -errno: EEXIST something lies there, EACCES or EPERM a security policy forbids turning written pages executable.</returns>
    /// <exception cref="InvalidOperationException">It is mapped already in the other build.</exception>
    public static int Map(bool inject, out MachineCode code)
    {
        lock (s_lock)
        {
            if (s_code is not null)
            {
                code = s_inject == inject ? s_code : throw new InvalidOperationException(
                    $"The machine code is mapped already {(s_inject ? "with" : "without")} injected signals; a process has one build of it.");
                return 0;
            }

            code = MachineCode.Assemble(inject);
            int r = Map(code);
            (s_code, s_inject) = r < 0 ? (null, false) : (code, inject);
            return r;
        }
    }

    /// <summary>As <see cref="Map(bool, out MachineCode)"/>, in whichever build is there already.</summary>
    public static int MapAny(out MachineCode code)
    {
        lock (s_lock)
        {
            return Map(s_inject, out code);
        }
    }

    private static int Map(MachineCode code)
    {
        nint at = unchecked((nint)FamilyLayout.CodeBase);
        nint r = Sys.Mmap(at, (nuint)FamilyLayout.CodeBytes, Prot.Read | Prot.Write,
            MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        if (r < 0)
        {
            return (int)r;
        }

        code.Bytes.CopyTo(new Span<byte>((void*)at, (int)FamilyLayout.CodeBytes));
        PerCpuCode.WriteSections(code.Sections, (byte*)at + FamilyLayout.CodeBytes - Emitter.SectionTableBytes);
        int x = Sys.Mprotect(at, (nuint)FamilyLayout.CodeBytes, Prot.Read | Prot.Exec);
        if (x < 0)
        {
            _ = Sys.Munmap(at, (nuint)FamilyLayout.CodeBytes);
            return x;
        }

        return 0;
    }
}
