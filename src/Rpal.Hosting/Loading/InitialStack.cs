using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>The stack a program finds at its first instruction. Source: System V ABI x86-64, 3.4.1; getauxval(3).</summary>
/// <remarks><code>
/// rsp ► argc | argv[0..] 0 | envp[0..] 0 | auxiliary vector | platform, random bytes, strings | top
/// </code></remarks>
internal static unsafe class InitialStack
{
    /// <summary>All of argv and envp together, execve's own bound with the usual stack of 8 MiB: a quarter of it.</summary>
    public const int StringsLimitBytes = 2 << 20;

    /// <summary>The host's own vector as the kernel keeps it, without the terminator: hardware capabilities, vDSO, sizes. Read before there
    /// is a member, which could make it unreadable (setuid(2)).</summary>
    private static readonly List<(ulong Type, long Value)> s_hostVector = ReadHostVector();

    private const ulong Null = 0, Phdr = 3, Phent = 4, Phnum = 5, BaseAddress = AuxiliaryType.Base, Flags = 8, Entry = AuxiliaryType.Entry, Secure = 23, ExecFn = 31;

    /// <summary>Builds it below <paramref name="top"/> and returns the initial rsp.</summary>
    /// <exception cref="MemberStartException">Arguments and environment are larger than <see cref="StringsLimitBytes"/>.</exception>
    public static long Build(long top, ProgramFile program, IReadOnlyDictionary<string, string> environment, ElfFile elf, long bias, long interpreterBias, MemberBlock* member)
    {
        byte*[] argv, envp;
        byte* p = (byte*)top - 64;
        int room = StringsLimitBytes;
        byte* Push(string s)
        {
            int n = Encoding.UTF8.GetByteCount(s);
            room -= n + 1 + sizeof(long);
            if (room < 0)
            {
                throw new MemberStartException(126, $"{program.File.Path}: arguments and environment take more than {StringsLimitBytes} bytes, the limit for a member (a quarter of its stack).");
            }

            if (s.Contains('\0'))
            {
                throw new MemberStartException(126, $"{program.File.Path}: an argument or environment variable contains a zero character.");
            }

            p -= n + 1;
            Encoding.UTF8.GetBytes(s, new Span<byte>(p, n));
            p[n] = 0;
            return p;
        }

        envp = new byte*[environment.Count];
        int i = 0;
        foreach ((string name, string value) in environment)
        {
            envp[i++] = Push($"{name}={value}");
        }

        argv = new byte*[program.Arguments.Count];
        for (i = 0; i < argv.Length; i++)
        {
            argv[i] = Push(program.Arguments[i]);
        }

        byte* fileName = Push(program.File.Path), platform = Push("x86_64");
        p -= 16;
        byte* random = p;
        RandomNumberGenerator.Fill(new Span<byte>(random, 16));
        p = (byte*)((nint)p & ~63);

        List<(ulong Type, long Value)> vector = [];
        foreach ((ulong type, long value) in s_hostVector)
        {
            vector.Add((type, type switch
            {
                Phdr => elf.ProgramHeadersAddress + bias,
                Phent => 56,
                Phnum => elf.ProgramHeaderCount,
                BaseAddress => interpreterBias,
                Flags or Secure => 0,
                Entry => elf.EntryAddress + bias,
                ExecFn => (long)fileName,
                AuxiliaryType.Platform => (long)platform,
                AuxiliaryType.Random => (long)random,
                _ => value,
            }));
        }

        vector.Add((FamilyLayout.AuxiliaryVectorType, (long)member));
        vector.Add((Null, 0));

        long words = 1 + argv.Length + 1 + envp.Length + 1 + 2 * vector.Count;
        long* sp = (long*)(((nint)p - (nint)(words * sizeof(long))) & ~15);
        long initial = (long)sp;
        *sp++ = argv.Length;
        foreach (byte* a in argv)
        {
            *sp++ = (long)a;
        }

        *sp++ = 0;
        foreach (byte* e in envp)
        {
            *sp++ = (long)e;
        }

        *sp++ = 0;
        foreach ((ulong type, long value) in vector)
        {
            *sp++ = (long)type;
            *sp++ = value;
        }

        return initial;
    }

    private static List<(ulong Type, long Value)> ReadHostVector()
    {
        List<(ulong, long)> entries = [];
        ReadOnlySpan<byte> bytes = File.ReadAllBytes("/proc/self/auxv");
        for (; bytes.Length >= 16; bytes = bytes[16..])
        {
            ulong type = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            if (type == Null)
            {
                break;
            }

            entries.Add((type, BinaryPrimitives.ReadInt64LittleEndian(bytes[8..])));
        }

        return entries;
    }
}
