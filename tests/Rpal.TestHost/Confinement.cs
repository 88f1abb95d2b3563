using System.Collections;
using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.TestHost;

/// <summary>Starts this program again under a container's seccomp filter and without a container's missing capabilities.</summary>
/// <remarks>
/// Source: moby's profiles/seccomp/default.json for a container without added capabilities, on Linux 4.8 and newer. "hardened" also denies
/// ptrace and process_vm_*, as older kernels' profiles did. "untraced" has no filter and lacks CAP_SYS_PTRACE alone. Only what a family
/// could come across is here.
/// </remarks>
internal static unsafe class Confinement
{
    private const string Variable = "RPAL_TEST_CONFINED";
    private const uint OffsetNumber = 0, OffsetFirstArgument = 16;
    private const int DropCapability = 24, LastCapability = 40, SysPtrace = 19;  // PR_CAPBSET_DROP
    private const int Clone3 = 435;

    /// <summary>CLONE_NEW*: namespaces.</summary>
    private const uint NamespaceFlags = 0x7E02_0000;

    /// <summary>What Docker leaves: chown 0, dac_override 1, fowner 3, fsetid 4, kill 5, setgid 6, setuid 7, setpcap 8, net_bind_service 10,
    /// net_raw 13, sys_chroot 18, mknod 27, audit_write 29, setfcap 31.</summary>
    private static readonly int[] s_keptCapabilities = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

    /// <summary>kcmp, pidfd_getfd, process_madvise, io_uring_*, userfaultfd, move_pages, mbind, set_mempolicy, unshare, setns, mount, bpf, perf_event_open, keyctl.</summary>
    private static readonly int[] s_denied = [312, 438, 440, 425, 426, 427, 323, 279, 237, 238, 272, 308, 165, 321, 298, 250];

    /// <summary>ptrace, process_vm_readv, process_vm_writev.</summary>
    private static readonly int[] s_hardened = [101, 310, 311];

    /// <summary>Returns when nothing is asked for, or it is done already.</summary>
    public static void EnterIfAsked(string[] args)
    {
        string? profile = Environment.GetEnvironmentVariable(Variable);
        if (profile is not ("docker" or "hardened" or "untraced"))
        {
            return;
        }

        for (int capability = 0; capability <= LastCapability; capability++)
        {
            if (profile == "untraced" ? capability == SysPtrace : !s_keptCapabilities.Contains(capability))
            {
                _ = Sys.Prctl(DropCapability, capability, 0, 0, 0);     // EPERM for whom has none anyway
            }
        }

        if (profile != "untraced")
        {
            Filter(profile == "hardened" ? [.. s_denied, .. s_hardened] : s_denied);
        }

        Environment.SetEnvironmentVariable(Variable, "done");
        string[] environment = [.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => $"{e.Key}={e.Value}")];
        string self = Environment.ProcessPath!;
        nint path = Text(self);
        string[] words = Environment.GetCommandLineArgs();
        Require("execve", Sys.Invoke(SyscallNumber.Execve, path, Texts(self.EndsWith("/dotnet", StringComparison.Ordinal) ? [self, .. words] : [self, .. args]), Texts(environment)));
    }

    private static void Filter(int[] denied)
    {
        Require("no_new_privs", Sys.Prctl(PrctlOp.SetNoNewPrivileges, 1, 0, 0, 0));
        SockFilter[] filter = Build(denied);
        fixed (SockFilter* instructions = filter)
        {
            SockFprog program = new() { Length = (ushort)filter.Length, Filter = instructions };
            Require("seccomp", Sys.Seccomp(SeccompOp.SetModeFilter, 0, &program));
        }
    }

    private static SockFilter[] Build(int[] denied)
    {
        List<SockFilter> f =
        [
            new(BpfCode.LoadWordAbsolute, OffsetNumber),
            new(BpfCode.JumpIfEqual, Clone3, 0, 1),
            new(BpfCode.Return, SeccompReturn.Errno | (uint)Errno.ENOSYS),
        ];
        foreach (int number in denied)
        {
            f.Add(new(BpfCode.JumpIfEqual, (uint)number, 0, 1));
            f.Add(new(BpfCode.Return, SeccompReturn.Errno | (uint)Errno.EPERM));
        }

        f.Add(new(BpfCode.JumpIfEqual, (uint)SyscallNumber.Clone, 0, 3));
        f.Add(new(BpfCode.LoadWordAbsolute, OffsetFirstArgument));
        f.Add(new(BpfCode.JumpIfAnyBit, NamespaceFlags, 0, 1));
        f.Add(new(BpfCode.Return, SeccompReturn.Errno | (uint)Errno.EPERM));
        f.Add(new(BpfCode.Return, SeccompReturn.Allow));
        return [.. f];
    }

    private static nint Text(string text) => Marshal.StringToCoTaskMemUTF8(text);

    private static nint Texts(string[] texts)
    {
        nint* p = (nint*)NativeMemory.AllocZeroed((nuint)(texts.Length + 1), (nuint)sizeof(nint));
        for (int i = 0; i < texts.Length; i++)
        {
            p[i] = Text(texts[i]);
        }

        return (nint)p;
    }

    private static void Require(string what, nint result)
    {
        if (result < 0)
        {
            throw new InvalidOperationException($"{what}: {ErrnoText.Describe((int)result)}");
        }
    }
}
