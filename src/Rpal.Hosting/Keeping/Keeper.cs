using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using Rpal.Linux;

namespace Rpal.Hosting.Keeping;

/// <summary>
/// The process that looks after the members once their host was killed. It is no member and shares no memory with them: it
/// holds copies of the seccomp listeners, so that the members' system calls are answered instead of failing with ENOSYS, and of
/// their output pipes, so that a last line does not kill its writer.
/// </summary>
/// <remarks><code>
/// host ── socket: members with their descriptors ──► keeper: waits, closes what belongs to ended members
///  ╳ killed: the socket ends                          answers every call with "continue": the kernel does it, outside the slots
///                                                     SIGTERM to each, once; after its grace SIGKILL to it and its group; ends with the last
/// </code>See ADR 0012.</remarks>
public static unsafe class Keeper
{
    private const int MessageBytesLimit = 1024;

    /// <summary>Calls of one member that signals took back between the last two that its broker received: its threads would have to be interrupted that often.</summary>
    private const int UnnotedLimit = 10_000;

    private static readonly List<Ward> s_wards = [];
    private static ulong* s_lastReceived;
    private static bool s_prints;

    /// <summary>Runs until the host has ended, and all members with it.</summary>
    /// <param name="words">What the host appended to its command line: socket and policy.</param>
    /// <param name="print">Whether lines that members still write are printed; else they are only taken.</param>
    /// <returns>The exit code.</returns>
    public static int Run(string[] words, bool print)
    {
        if (words is not [var socketWord, var policyWord] || !int.TryParse(socketWord, out int socket) || !Enum.TryParse(policyWord, out HostExitPolicy policy))
        {
            return 64;
        }

        s_prints = print;
        _ = Sys.Setsid();                                        // what is sent to the host's terminal or group is not for us
        fixed (byte* name = "keeper"u8)
        {
            _ = Sys.Prctl(PrctlOp.SetName, (nint)name, 0, 0, 0);     // nor what is sent to all that are named as the host
        }

        KernelSigaction ignore = new() { Handler = SignalHandler.Ignore };     // not by the runtime, which would start a thread for each
        foreach (int signal in (int[])[Signal.SIGTERM, Signal.SIGINT, Signal.SIGHUP, Signal.SIGQUIT])
        {
            _ = Sys.RtSigaction(signal, &ignore, null);
        }

        Prepare();
        while (Watch(socket))
        {
        }

        AnswerReceived();
        long stopAt = long.MaxValue;
        int before = s_wards.Count;
        if (policy == HostExitPolicy.Stop)
        {
            stopAt = Tell();
        }

        while (s_wards.Count > 0)
        {
            Serve(stopAt);
            if (s_wards.Count < before && stopAt == long.MaxValue)
            {
                stopAt = Tell();                                 // one has ended, and nobody can tell its callers
            }
        }

        return 0;
    }

    /// <summary>Compiles what is needed later: then there may be no memory for it.</summary>
    private static void Prepare()
    {
        foreach (Type type in (Type[])[typeof(Keeper), typeof(Ward), typeof(OutputPump.LineBuffer), typeof(WardMessage), typeof(WardAnswer)])
        {
            foreach (MethodBase method in type.GetMembers(BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic).OfType<MethodBase>())
            {
                RuntimeHelpers.PrepareMethod(method.MethodHandle);
            }
        }
    }

    /// <summary>SIGTERM to all, to their processes and not their groups. Nobody else sends it: one that the host was stopping just then is the only one to get it twice.</summary>
    /// <returns>When their grace began.</returns>
    private static long Tell()
    {
        s_wards.ForEach(w => w.Send(Signal.SIGTERM));
        return Environment.TickCount64;
    }

    /// <returns>Whether the host lives.</returns>
    private static bool Watch(int socket)
    {
        PollFd* fds = stackalloc PollFd[1 + s_wards.Count];
        fds[0] = new() { Fd = socket, Events = PollEvents.In };
        for (int i = 0; i < s_wards.Count; i++)
        {
            fds[1 + i] = new() { Fd = s_wards[i].Descriptors[1], Events = PollEvents.In };
        }

        if (Sys.Poll(fds, (uint)(1 + s_wards.Count), -1) <= 0)
        {
            return true;
        }

        for (int i = s_wards.Count - 1; i >= 0; i--)
        {
            if (fds[1 + i].Returned != 0)
            {
                s_wards[i].Release(drain: false);                // the host reads its last lines
                s_wards.RemoveAt(i);
            }
        }

        return fds[0].Returned == 0 || Receive(socket);
    }

    private static bool Receive(int socket)
    {
        Span<byte> bytes = stackalloc byte[MessageBytesLimit];
        Span<int> descriptors = stackalloc int[Ward.DescriptorCount];
        nint n = Sys.ReceiveDescriptors(socket, bytes, descriptors, out int count, out DescriptorLoss loss);
        if (n <= 0)
        {
            return n == -(int)Errno.EINTR;
        }

        WardMessage? message = WardMessage.Of(bytes[..(int)n]);
        if (message is null && count == 1)
        {
            nint table = Sys.Mmap(0, KeeperLink.TableBytes, Prot.Read, MapFlags.Shared, descriptors[0], 0);
            s_lastReceived = table < 0 ? null : (ulong*)table;
            _ = Sys.Close(descriptors[0]);
        }
        else if (message is not null && count == Ward.DescriptorCount)
        {
            s_wards.Add(new Ward(message, descriptors, (isError, line) => Print(message.Name, isError, line)));
        }

        Answer(socket, new WardAnswer(message?.Pid ?? 0, loss));
        return true;
    }

    /// <summary>The host believes nothing else.</summary>
    private static void Answer(int socket, WardAnswer answer)
    {
        Span<byte> bytes = stackalloc byte[WardAnswer.Bytes];
        answer.Write(bytes);
        _ = Sys.SendDescriptors(socket, bytes, []);              // the host may be gone
    }

    /// <summary>
    /// A call that the host had received and not answered: nobody can receive it again. It is the one noted, or a later one that the host was
    /// killed before it could note. The kernel counts a filter's notifications up by one (seccomp_next_notify_id), and answers for those that
    /// wait for nobody are refused (ENOENT, EINPROGRESS): so the ones that may be it are all answered.
    /// </summary>
    private static void AnswerReceived()
    {
        foreach (Ward w in s_wards)
        {
            ulong last = s_lastReceived is null ? 0 : Volatile.Read(ref s_lastReceived[w.Slot]);
            for (ulong i = 0; last != 0 && i <= UnnotedLimit; i++)
            {
                Continue(w.Descriptors[0], last + i);
            }
        }
    }

    private static void Continue(int listener, ulong id)
    {
        SeccompNotifResponse response = new() { Id = id, Flags = SeccompNotifFlags.Continue };
        _ = Sys.NotifSend(listener, &response);
    }

    /// <summary>One round: waits for something to do, or the next member's end of grace.</summary>
    private static void Serve(long stopAt)
    {
        const int longestMs = 60_000, afterKillMs = 100;
        PollFd* fds = stackalloc PollFd[s_wards.Count * Ward.DescriptorCount];
        int n = 0;
        long until = long.MaxValue;
        foreach (Ward w in s_wards)
        {
            until = Math.Min(until, stopAt == long.MaxValue ? stopAt : stopAt + w.GraceMs);
            foreach (int fd in w.Descriptors)
            {
                fds[n++] = new() { Fd = fd, Events = PollEvents.In };
            }
        }

        long now = Environment.TickCount64;
        long wait = until > now ? until - now : afterKillMs;     // it was sent SIGKILL and need not die of it at once: it may be in an uninterruptible wait
        _ = Sys.Poll(fds, (uint)n, (int)Math.Min(wait, longestMs));
        now = Environment.TickCount64;
        for (int i = s_wards.Count - 1; i >= 0; i--)
        {
            Ward w = s_wards[i];
            PollFd* own = fds + i * Ward.DescriptorCount;
            if ((own[0].Returned & PollEvents.In) != 0)
            {
                SeccompNotif notif = default;
                if (Sys.NotifReceive(w.Descriptors[0], &notif) == 0)
                {
                    Continue(w.Descriptors[0], notif.Id);
                }
            }

            for (int o = 0; o < 2; o++)
            {
                if (own[2 + o].Returned != 0)
                {
                    w.Drain(o);
                }
            }

            if ((own[1].Returned & PollEvents.In) != 0)
            {
                _ = Sys.Kill(-w.Pid, Signal.SIGKILL);            // what it left in its group, as the host does
                w.Release(drain: true);
                s_wards.RemoveAt(i);
            }
            else if (stopAt != long.MaxValue && now >= stopAt + w.GraceMs)
            {
                w.Send(Signal.SIGKILL);
            }
        }
    }

    private static void Print(string member, bool isError, ReadOnlySpan<byte> line)
    {
        if (!s_prints)
        {
            return;
        }

        byte[] bytes = [.. Encoding.UTF8.GetBytes($"{member}  | "), .. line, (byte)'\n'];
        fixed (byte* p = bytes)
        {
            _ = Sys.Write(isError ? 2 : 1, p, (nuint)bytes.Length);     // whoever read it may be gone with the host
        }
    }
}
