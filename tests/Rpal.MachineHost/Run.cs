using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Rpal.Hosting;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;
using Rpal.MachineMember;

namespace Rpal.MachineHost;

/// <summary>One family of three: a caller, and two callees of which the first calls the second. Reads the books at the end.</summary>
internal sealed class Run(string mode, double seconds, int seed, uint injectEvery, string with)
{
    /// <summary>Beyond the time asked for: three runtimes start and end, on a machine that may be busy.</summary>
    private const double GraceSeconds = 60;
    private const int MemberCount = 3, TimesEveryMs = 50;

    private readonly List<(string Name, MemberTime Time)> _times = [];
    private readonly Dictionary<string, ulong> _counters = [];
    private TimeSpan _elapsed;
    private int _wentBack;

    private readonly unsafe Arena* _arena = (Arena*)NativeMemory.AllocZeroed((nuint)Arena.SizeBytes);

    private unsafe nint ArenaAddress => (nint)_arena;

    public async Task<Dictionary<string, object>> Execute()
    {
        Environment.SetEnvironmentVariable(Arena.Variable, ArenaAddress.ToString(CultureInfo.InvariantCulture));
        Environment.SetEnvironmentVariable("RPAL_TEST_INJECT_EVERY", injectEvery == 0 ? null : injectEvery.ToString(CultureInfo.InvariantCulture));
        using var host = new FamilyHost(new FamilyDefinition(
        [
            Member("caller", "caller", mode, seconds.ToString(CultureInfo.InvariantCulture), seed.ToString(CultureInfo.InvariantCulture)),
            Member("a", "callee", "a", "b"),
            Member("b", "callee", "b"),
        ])
        { Accounting = with.Contains("accounting", StringComparison.Ordinal) }, new Output(), inject: injectEvery != 0);
        long begin = Stopwatch.GetTimestamp();
        Task<FamilyResult> family = host.RunAsync();
        bool hung = false;
        while (await Task.WhenAny(family, Task.Delay(TimesEveryMs)) != family && !hung)
        {
            hung = Stopwatch.GetElapsedTime(begin).TotalSeconds > seconds + GraceSeconds;
            List<(string Name, MemberTime Time)> times = await host.TimesAsync();
            Note(times);
            if (times.Count == MemberCount)
            {
                NoteCounters();                                  // while they run: a member's area is emptied behind it
            }
        }

        _elapsed = Stopwatch.GetElapsedTime(begin);
        string? dump = hung ? Dump() : null;
        if (hung)
        {
            host.Send(Signal.SIGKILL);
        }

        FamilyResult result = await family;
        return Report(result, dump);
    }

    private MemberDefinition Member(string name, params string[] arguments) => new()
    {
        Name = name,
        Command = "dotnet",
        Arguments = [typeof(Arena).Assembly.Location, .. arguments, with],
    };

    private unsafe Dictionary<string, object> Report(FamilyResult result, string? dump)
    {
        ulong repeated = 0, lost = 0;
        ulong rounds = _arena->Sent / Arena.ValueCapacity, rest = _arena->Sent % Arena.ValueCapacity;
        for (ulong i = 0; i < Arena.ValueCapacity; i++)
        {
            ulong wanted = rounds + (i < rest ? 1ul : 0), seen = _arena->Values[i];
            repeated += seen > wanted ? seen - wanted : 0;
            lost += seen < wanted ? wanted - seen : 0;
        }

        Dictionary<string, object> report = new()
        {
            ["ok"] = dump is null && result.ExitCode == 0 && _arena->Wrong == 0 && repeated == 0 && lost == 0 && _arena->Misplaced == 0,
            ["mode"] = mode,
            ["seconds"] = seconds,
            ["seed"] = seed,
            ["inject"] = injectEvery,
            ["with"] = with,
            ["wrong"] = _arena->Wrong,
            ["plain"] = _arena->Right,
            ["lazy"] = _arena->Lazy,
            ["inPlace"] = _arena->InPlace,
            ["nested"] = _arena->Nested,
            ["faults"] = _arena->Faults,
            ["collections"] = _arena->Collections,
            ["registerChecks"] = _arena->RegisterChecks,
            ["registersChanged"] = _arena->RegistersChanged,
            ["evictionsSeen"] = _arena->EvictionsSeen,
            ["signalsSent"] = _arena->Sent,
            ["signalsHandled"] = _arena->Handled,
            ["signalsRefused"] = _arena->Refused,
            ["signalsLost"] = lost,
            ["signalsRepeated"] = repeated,
            ["signalsMisplaced"] = _arena->Misplaced,
            ["activations"] = _arena->Activations,
            ["avx512"] = Routines.HasAvx512,
            ["failure"] = Encoding.UTF8.GetString(new ReadOnlySpan<byte>(_arena->Failure, Arena.FailureBytes)).TrimEnd('\0'),
            ["exits"] = string.Join(", ", result.Members.Select(m => $"{m.Name} {m.Exit.ExitCode}")),
        };
        foreach ((string name, ulong value) in _counters)
        {
            report[name] = value;
        }

        report["times"] = _times.ToDictionary(t => t.Name, t => new { kernelMs = t.Time.KernelCpu.TotalMilliseconds, correctedMs = t.Time.CorrectedCpu.TotalMilliseconds });
        report["timesWentBack"] = _wentBack;
        report["timesTooLong"] = TooLong();
        if (injectEvery != 0)
        {
            IReadOnlyList<string> points = MachineCode.Assemble(inject: true).Points;
            report["points"] = points.Select((p, i) => (p, FamilyHeader.At->PointHits[i])).ToDictionary(p => p.p, p => p.Item2);
        }

        if (dump is not null)
        {
            report["dump"] = dump;
        }

        return report;
    }

    private void Note(IReadOnlyList<(string Name, MemberTime Time)> now)
    {
        foreach ((string name, MemberTime time) in now)
        {
            int i = _times.FindIndex(t => t.Name == name);
            if (i < 0)
            {
                _times.Add((name, time));
                continue;
            }

            MemberTime before = _times[i].Time;
            _wentBack += time.Donated < before.Donated || time.Received < before.Received || time.KernelCpu < before.KernelCpu ? 1 : 0;
            _times[i] = (name, time);
        }
    }

    /// <summary>Accounts with more time than has passed: one thread at a time uses each, and nested time is in another's.</summary>
    private int TooLong() => Enumerable.Range(0, MemberCount).Sum(m => Books.DonatedBy(m).GroupBy(r => r.Thread).Count(a => Books.ToTime(Books.Sum(a)) > _elapsed));

    private void NoteCounters()
    {
        foreach ((string name, ulong value) in Counters())
        {
            _counters[name] = Math.Max(value, _counters.GetValueOrDefault(name));
        }
    }

    private static unsafe (string, ulong)[] Counters()
    {
        ulong lazy = 0, inPlace = 0, back = 0, undone = 0, forward = 0, evicted = 0, requeued = 0;
        foreach (nint address in Receivers())
        {
            ReceiverBlock* r = (ReceiverBlock*)address;
            lazy += r->LazySwitches;
            inPlace += r->InPlaceCalls;
            back += r->CallsRolledBack;
            undone += r->AnswersRolledBack;
            forward += r->AnswersRolledForward;
            evicted += r->Evictions;
        }

        foreach (nint address in Threads())
        {
            requeued += ((ThreadBlock*)address)->Requeued;
        }

        return [("lazySwitches", lazy), ("inPlaceCalls", inPlace), ("callsRolledBack", back), ("answersRolledBack", undone), ("answersRolledForward", forward), ("evictions", evicted), ("requeued", requeued)];
    }

    private static IEnumerable<nint> Receivers()
    {
        for (int m = 0; m < MemberCount; m++)
        {
            for (int i = 0; i < 16; i++)
            {
                nint r = Receiver(m, i);
                if (r != 0)
                {
                    yield return r;
                }
            }
        }
    }

    private static IEnumerable<nint> Threads()
    {
        for (int m = 0; m < MemberCount; m++)
        {
            for (int i = 0; i < 64; i++)
            {
                nint t = Thread(m, i);
                if (t != 0)
                {
                    yield return t;
                }
            }
        }
    }

    private static unsafe nint Receiver(int member, int index)
    {
        ReceiverBlock* r = MemberBlock.Receiver(member, index);
        return r->State == ReceiverState.Init ? 0 : (nint)r;
    }

    private static unsafe nint Thread(int member, int index)
    {
        ThreadBlock* t = MemberBlock.Thread(member, index);
        return t->Tid == 0 ? 0 : (nint)t;
    }

    /// <summary>What a hang needs to be understood.</summary>
    private unsafe string Dump()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"sent {_arena->Sent} handled {_arena->Handled} stop {_arena->Stop}; ");
        foreach (nint address in Receivers())
        {
            ReceiverBlock* r = (ReceiverBlock*)address;
            text.Append(CultureInfo.InvariantCulture, $"receiver {address:x} {r->State} wake {r->Wake} frame {r->Frame:x} pending {(nint)r->Pending:x} home {(nint)r->Home:x} sender {(nint)r->Sender:x} deferred {r->Deferred} mask {r->Mask:x}; ");
        }

        foreach (nint address in Threads())
        {
            ThreadBlock* t = (ThreadBlock*)address;
            text.Append(CultureInfo.InvariantCulture, $"thread {address:x} pid {t->Pid} tid {t->Tid} {State(t->Pid, t->Tid)} current {(nint)t->Current:x} parked {(nint)t->Parked:x} selector {t->Selector} own {(nint)t->OwnReceiver:x} reply {t->Reply:x} rsp {t->Rsp:x}; ");
        }

        return text.ToString();
    }

    private static string State(int pid, int tid)
    {
        try
        {
            string task = $"/proc/{pid}/task/{tid}/";
            return string.Join(' ', File.ReadLines(task + "status").Where(l => l.StartsWith("State", StringComparison.Ordinal) || l.StartsWith("SigPnd", StringComparison.Ordinal) || l.StartsWith("SigBlk", StringComparison.Ordinal)))
                + " syscall " + File.ReadAllText(task + "syscall").Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "gone";
        }
    }
}
