using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>A program where one system call fails with EPERM. It is executed,
/// so that no thread of a test host is under the filter.</summary>
internal static unsafe class Denials
{
    private const uint OffsetNumber = 0, OffsetFirstArgument = 16;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) => scenarios.Add("deny", Execute);

    /// <param name="args">The call's number, its first argument or "-" for any, the program and its arguments.</param>
    private static int Execute(string[] args)
    {
        uint number = uint.Parse(args[0], CultureInfo.InvariantCulture);
        SockFilter[] filter =
        [
            new(BpfCode.LoadWordAbsolute, OffsetNumber),
            new(BpfCode.JumpIfEqual, number, 0, 3),
            new(BpfCode.LoadWordAbsolute, OffsetFirstArgument),
            args[1] == "-" ? new(BpfCode.JumpAlways, 0)
            : new(BpfCode.JumpIfEqual, (uint)int.Parse(args[1], CultureInfo.InvariantCulture), 0, 1),
            new(BpfCode.Return, SeccompReturn.Errno | (uint)Errno.EPERM),
            new(BpfCode.Return, SeccompReturn.Allow),
        ];
        nint words = Texts(args[2..]);
        nint environment = Texts([.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => $"{e.Key}={e.Value}")]);
        fixed (SockFilter* instructions = filter)
        {
            SockFprog program = new() { Length = (ushort)filter.Length, Filter = instructions };
            Check.Equal(0, Sys.Prctl(PrctlOp.SetNoNewPrivileges, 1, 0, 0, 0));
            Check.Equal(0, Sys.Seccomp(SeccompOp.SetModeFilter, 0, &program));
            return -(int)Sys.Invoke(SyscallNumber.Execve, *(nint*)words, words, environment);
        }
    }

    private static nint Texts(string[] texts)
    {
        nint* p = (nint*)NativeMemory.AllocZeroed((nuint)(texts.Length + 1), (nuint)sizeof(nint));
        for (int i = 0; i < texts.Length; i++)
        {
            p[i] = Marshal.StringToCoTaskMemUTF8(texts[i]);
        }

        return (nint)p;
    }
}
