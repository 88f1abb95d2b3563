using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Rpal.Linux;
using SocketType = System.Net.Sockets.SocketType;

namespace Rpal.Cli.Bench;

/// <summary>What RPAL is compared with: 32 bytes and back over a Unix socket, both sides waiting in epoll, in two plain processes.</summary>
internal static unsafe class SocketRoles
{
    private const int Warm = 2_000;

    /// <param name="path">Where to listen.</param>
    /// <param name="cpu">CPU to run on.</param>
    public static void Serve(string path, int cpu)
    {
        Pin(cpu);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        PeerProtocol.Progress(0);                                // listening
        using Socket peer = listener.Accept();
        int fd = (int)peer.Handle, epoll = Register(fd);
        Message m;
        while (Receive(epoll, fd, &m))
        {
            m.TookTicks = (ulong)(Stopwatch.GetTimestamp() - (long)m.SentAt);
            Send(fd, &m);
        }
    }

    public static void Measure(string path, int cpu, int messages)
    {
        Pin(cpu);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        int fd = (int)socket.Handle, epoll = Register(fd);
        uint[] oneWay = new uint[messages], roundTrip = new uint[messages];
        for (int i = -Warm; i < messages; i++)
        {
            Message m = new() { SentAt = (ulong)Stopwatch.GetTimestamp() };
            long begin = (long)m.SentAt;
            Send(fd, &m);
            if (!Receive(epoll, fd, &m))
            {
                throw new IOException("The socket's other end is gone.");
            }

            if (i >= 0)
            {
                roundTrip[i] = (uint)Math.Min(Stopwatch.GetTimestamp() - begin, uint.MaxValue);
                oneWay[i] = (uint)Math.Min((long)m.TookTicks, uint.MaxValue);
            }

            if (i % (messages / 20 + 1) == 0)
            {
                PeerProtocol.Progress(Math.Max(0, i) / (double)messages);
            }
        }

        double ns = 1e9 / Stopwatch.Frequency;
        PeerProtocol.Result(new { oneWayNs = Statistics.Of(oneWay).Times(ns), roundTripNs = Statistics.Of(roundTrip).Times(ns) });
    }

    private static void Pin(int cpu)
    {
        int r = Sys.SchedSetAffinity(0, 1ul << cpu);
        if (r < 0)
        {
            throw new IOException($"sched_setaffinity to CPU {cpu}: {ErrnoText.Describe(r)}.");
        }
    }

    private static int Register(int fd)
    {
        int epoll = Sys.EpollCreate1(0);
        EpollEvent e = new() { Events = EpollEvents.In, Data = (ulong)fd };
        return Sys.EpollCtl(epoll, EpollOp.Add, fd, &e) < 0 ? throw new IOException("epoll_ctl failed.") : epoll;
    }

    private static void Send(int fd, Message* m)
    {
        if (Sys.Write(fd, m, (nuint)sizeof(Message)) != sizeof(Message))
        {
            throw new IOException("The socket took only a part of 32 bytes.");
        }
    }

    private static bool Receive(int epoll, int fd, Message* m)
    {
        EpollEvent e;
        while (Sys.EpollWait(epoll, &e, 1, -1) < 0)
        {
        }

        return Sys.Read(fd, m, (nuint)sizeof(Message)) == sizeof(Message);
    }
}
