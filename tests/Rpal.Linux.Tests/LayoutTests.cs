using System.Reflection;
using System.Runtime.InteropServices;

namespace Rpal.Linux.Tests;

/// <summary>Every field of every ABI struct against offsetof, every size against sizeof.</summary>
public sealed class LayoutTests
{
    private static readonly string[] LibcHeaders =
        ["time.h", "poll.h", "signal.h", "sys/epoll.h", "sys/uio.h", "linux/seccomp.h", "linux/filter.h", "sys/user.h", "linux/futex.h", "linux/rseq.h", "sys/stat.h", "sys/vfs.h"];

    private sealed record Peer(string Type, string Fields, bool KernelSignal = false);

    /// <summary>C's field names, in the order of ours.</summary>
    private static readonly Dictionary<Type, Peer> Peers = new()
    {
        [typeof(Timespec)] = new("struct timespec", "tv_sec tv_nsec"),
        [typeof(KernelSigaction)] = new("struct sigaction", "sa_handler sa_flags sa_restorer sa_mask", KernelSignal: true),
        [typeof(SeccompData)] = new("struct seccomp_data", "nr arch instruction_pointer args"),
        [typeof(SeccompNotif)] = new("struct seccomp_notif", "id pid flags data"),
        [typeof(SeccompNotifResponse)] = new("struct seccomp_notif_resp", "id val error flags"),
        [typeof(SockFilter)] = new("struct sock_filter", "code jt jf k"),
        [typeof(SockFprog)] = new("struct sock_fprog", "len filter"),
        [typeof(PollFd)] = new("struct pollfd", "fd events revents"),
        [typeof(EpollEvent)] = new("struct epoll_event", "events data"),
        [typeof(StackT)] = new("stack_t", "ss_sp ss_flags ss_size"),
        [typeof(SigInfoChild)] = new("siginfo_t", "si_signo si_errno si_code si_pid si_uid si_status"),
        [typeof(UserRegisters)] = new("struct user_regs_struct", "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"),
        [typeof(FutexWaitv)] = new("struct futex_waitv", "val uaddr flags __reserved"),
        [typeof(RseqArea)] = new("struct rseq", "cpu_id_start cpu_id rseq_cs flags"),
        [typeof(RseqSection)] = new("struct rseq_cs", "version flags start_ip post_commit_offset abort_ip"),
        [typeof(FileStatus)] = new("struct stat", "st_mode st_size st_blocks"),
        [typeof(StatFs)] = new("struct statfs", "f_type f_bsize f_flags"),
        [typeof(IoVec)] = new("struct iovec", "iov_base iov_len"),
    };

    public static TheoryData<string> Structs() =>
        new(from type in typeof(Sys).Assembly.GetTypes()
            where type.IsValueType && !type.IsEnum && type.Namespace == "Rpal.Linux" && !type.IsNested
            select type.Name);

    [NeedsGccTheory]
    [MemberData(nameof(Structs))]
    public void A_struct_has_the_layout_that_gcc_gives_it(string name)
    {
        Type type = Peers.Keys.Single(t => t.Name == name);
        Peer peer = Peers[type];
        FieldInfo[] ours = type.GetFields(BindingFlags.Public | BindingFlags.Instance);
        string[] theirs = peer.Fields.Split(' ');
        Assert.Equal(theirs.Length, ours.Length);

        string[] offsets = [.. theirs.Select(f => $"offsetof({peer.Type}, {f})")];
        string[] sizes = [.. theirs.Select(f => $"sizeof((({peer.Type} *)0)->{f})")];
        string whole = $"sizeof({peer.Type})";
        Dictionary<string, long?> answers =
            CompilerOracle.Evaluate(peer.KernelSignal ? ["linux/signal.h"] : LibcHeaders, [.. offsets, .. sizes, whole]);

        Assert.Equal(answers[whole], SizeOf(type));
        Assert.Equal(answers[whole], Convert.ToInt64(type.GetField("SizeBytes")!.GetRawConstantValue(), null));
        for (int i = 0; i < ours.Length; i++)
        {
            Assert.Equal((ours[i].Name, answers[offsets[i]]), (ours[i].Name, (long?)ours[i].GetCustomAttribute<FieldOffsetAttribute>()!.Value));
            Assert.Equal((ours[i].Name, answers[sizes[i]]), (ours[i].Name, (long?)SizeOf(ours[i].FieldType)));
        }
    }

    /// <summary>The managed size, which is what pointers step by; Marshal.SizeOf would give the marshalled one.</summary>
    private static long SizeOf(Type type) => type.IsPointer
        ? nint.Size
        : (int)typeof(System.Runtime.CompilerServices.Unsafe).GetMethod("SizeOf")!.MakeGenericMethod(type).Invoke(null, null)!;
}
