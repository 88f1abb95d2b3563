using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Cli.Torture;

/// <summary>Signals to whatever thread of a ready member: to callers inside handlers, to parked receivers, to handlers at home.</summary>
internal sealed unsafe class SignalStorm(TortureFamily family, ulong seed)
{
    /// <summary>Between two bursts.</summary>
    private const int PauseMs = 1;

    private readonly Random _random = TortureMessage.RandomOf(seed, 3);
    private bool _stop;
    private Thread? _thread;

    public ulong Sent { get; private set; }

    public void Start()
    {
        _thread = new Thread(() =>
        {
            while (!Volatile.Read(ref _stop))
            {
                lock (family.Lock)
                {
                    Send(family.Members[_random.Next(family.Members.Count)]);
                }

                Pace.Run(PauseMs);
            }
        })
        { IsBackground = true, Name = "storm" };
        _thread.Start();
    }

    public void Stop()
    {
        Volatile.Write(ref _stop, true);
        _thread!.Join();
    }

    private void Send(TortureMember m)
    {
        const int looks = 16;
        for (int burst = m.IsUp ? _random.Next(4) : 0; burst > 0; burst--)
        {
            int tid = MemberBlock.Thread(m.Slot, _random.Next(looks))->Tid;
            int signal = _random.Next(3) switch { 0 => Nuisance.Urgent, 1 => Nuisance.RealTime, _ => SystemCall.Activation };
            if (tid != 0 && Sys.Tgkill(m.Pid, tid, signal) == 0)
            {
                Sent++;
            }
        }
    }
}
