using System.Diagnostics;
using System.Globalization;
using System.Text;
using Rpal.Hosting;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Torture;

/// <summary>Looks for calls, starts and ends that take too long, and says what the blocks and threads looked like.</summary>
internal sealed unsafe class HangWatch(TortureArena* arena, TortureFamily family)
{
    /// <summary>Deadline, handler, and nested calls take about 2 s; a callee that lost a receiver is ended after 2 more. The rest is for busy CPUs.</summary>
    public static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(20);

    /// <summary>From a member's start until it is ready, and from its kill until its end is known.</summary>
    private static readonly TimeSpan s_lifeLimit = TimeSpan.FromSeconds(60);

    private bool _stop;
    private Thread? _thread;

    public void Start()
    {
        _thread = new Thread(() =>
        {
            while (!Volatile.Read(ref _stop) && !family.Failed)
            {
                Look();
                Pace.BetweenSlowLooks();
            }
        })
        { IsBackground = true, Name = "hang watch" };
        _thread.Start();
    }

    public void Stop()
    {
        Volatile.Write(ref _stop, true);
        _thread!.Join();
    }

    private void Look()
    {
        string? what = null;
        lock (family.Lock)
        {
            foreach (TortureMember m in family.Members)
            {
                if (m.Permitted != Permitted.Stop && !m.IsReady && Stopwatch.GetElapsedTime(m.SinceNs) > s_lifeLimit)
                {
                    what ??= $"{m.Name}: process {m.Pid}, {m.Permitted}, since {Stopwatch.GetElapsedTime(m.SinceNs).TotalSeconds:F0} s";
                }

                for (int t = 0; !m.IsCallee && m.Pid != 0 && t < TortureOptions.Threads; t++)
                {
                    CallPlace* c = TortureArena.Call(arena, m.Index, t);
                    long started = Volatile.Read(ref c->StartedNs);
                    if (started != 0 && m.Permitted == Permitted.Nothing && Stopwatch.GetElapsedTime(started) > CallLimit)
                    {
                        what ??= $"{m.Name} thread {t}: call {c->Sequence} of incarnation {c->Incarnation} to callee {c->Callee}, {c->Deed}, deadline {c->DeadlineMs} ms, way {c->Way}, since {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s";
                    }
                }
            }
        }

        if (what is not null)
        {
            family.Hang($"{what}\n{Dump()}");
        }
    }

    /// <summary>What a hang needs to be understood.</summary>
    public string Dump()
    {
        var text = new StringBuilder();
        foreach (TortureMember m in family.Members)
        {
            text.Append(CultureInfo.InvariantCulture, $"{m.Name} process {m.Pid} slot {m.Slot} {m.Permitted} incarnation {m.Place->Incarnation} ready {m.Place->Ready}\n");
        }

        IReadOnlyDictionary<string, long> labels = Family.GetOrCreate().Code.Labels;
        foreach (int member in Family.GetOrCreate().Members())
        {
            if (MemberBlock.At(member)->State == MemberState.Free)
            {
                continue;
            }

            text.Append(CultureInfo.InvariantCulture, $"slot {member} {MemberBlock.At(member)->State} pid {MemberBlock.At(member)->Pid}\n");
            for (int i = 0; i < 16; i++)
            {
                ReceiverBlock* r = MemberBlock.Receiver(member, i);
                if (r->State != ReceiverState.Init || r->Sender != null)
                {
                    text.Append(CultureInfo.InvariantCulture, $"  receiver {(nint)r:x} {r->State} in-handler {r->InHandler} wake {r->Wake} frame {r->Frame:x} pending {(nint)r->Pending:x}/{r->PendingSequence:x} answering {(nint)r->Answering:x} home {(nint)r->Home:x} sender {(nint)r->Sender:x} deferred {r->Deferred} mask {r->Mask:x}\n");
                }
            }

            for (int i = 0; i < 64; i++)
            {
                ThreadBlock* t = MemberBlock.Thread(member, i);
                if (t->Tid != 0)
                {
                    text.Append(CultureInfo.InvariantCulture, $"  thread {(nint)t:x} tid {t->Tid} {Kernel(t->Pid, t->Tid, labels)} current {(nint)t->Current:x} parked {(nint)t->Parked:x} selector {t->Selector} own {(nint)t->OwnReceiver:x} reply {t->Reply:x} rsp {t->Rsp:x} waits {(nint)t->WaitsFor:x} copying {t->Copying}\n");
                }
            }
        }

        return text.ToString();
    }

    private static string Kernel(int pid, int tid, IReadOnlyDictionary<string, long> labels)
    {
        try
        {
            string task = $"/proc/{pid}/task/{tid}/", call = File.ReadAllText(task + "syscall").Trim();
            string status = string.Join(' ', File.ReadLines(task + "status").Where(l => l.StartsWith("State", StringComparison.Ordinal) || l.StartsWith("SigPnd", StringComparison.Ordinal) || l.StartsWith("SigBlk", StringComparison.Ordinal)));
            string where = "";
            if (call.Split(' ') is [.., var last] && last.StartsWith("0x", StringComparison.Ordinal) && long.TryParse(last[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long rip)
                && rip >= FamilyLayout.CodeBase && rip < FamilyLayout.CodeBase + FamilyLayout.CodeBytes)
            {
                where = $" at {labels.Where(l => l.Value <= rip).MaxBy(l => l.Value).Key}";
            }

            return $"{status} syscall {call}{where}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "gone";
        }
    }
}
