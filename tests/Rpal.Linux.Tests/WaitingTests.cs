using System.Diagnostics;

namespace Rpal.Linux.Tests;

public sealed unsafe class WaitingTests
{
    [Fact]
    public void A_futex_wait_ends_at_its_deadline()
    {
        const long TimeoutNs = 20_000_000;
        uint word = 5;
        long start = Stopwatch.GetTimestamp();

        Assert.Equal(-(int)Errno.ETIMEDOUT, Sys.FutexWait(&word, 5, TimeoutNs));

        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 19, 10_000);
    }

    [Fact]
    public void A_futex_whose_word_changed_is_not_waited_for()
    {
        uint word = 5;
        Assert.Equal(-(int)Errno.EAGAIN, Sys.FutexWait(&word, 6, -1));
    }

    [Fact]
    public void A_futex_wake_ends_a_wait()
    {
        uint word = 0;
        uint* shared = &word;
        int result = 1;
        Thread waiter = new(() => result = Sys.FutexWait(shared, 0, 10_000_000_000));
        waiter.Start();

        // Only the kernel knows when the waiter sleeps: wake until somebody was woken, for less than the waiter waits.
        int woken;
        for (long begin = Stopwatch.GetTimestamp(); (woken = Sys.FutexWake(shared, 1)) == 0 && Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(8);)
        {
            Thread.Yield();
        }

        Assert.Equal(1, woken);
        Assert.True(waiter.Join(20_000));
        Assert.Equal(0, result);
    }

    [Fact]
    public void Epoll_sees_what_a_socketpair_carries()
    {
        const ulong Token = 0xfeed_0000_beef;
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int a, out int b));
        int epoll = Sys.EpollCreate1(OpenFlags.CloseOnExec);
        Assert.True(epoll >= 0);
        EpollEvent interest = new() { Events = EpollEvents.In, Data = Token };
        Assert.Equal(0, Sys.EpollCtl(epoll, EpollOp.Add, b, &interest));
        EpollEvent* events = stackalloc EpollEvent[2];
        Assert.Equal(0, Sys.EpollWait(epoll, events, 2, 0));

        int sent = 99, received;
        Assert.Equal(4, Sys.Write(a, &sent, 4));
        Assert.Equal(1, Sys.EpollWait(epoll, events, 2, 5000));
        Assert.Equal((EpollEvents.In, Token), (events[0].Events, events[0].Data));
        Assert.Equal(4, Sys.Read(b, &received, 4));
        Assert.Equal(99, received);

        Assert.Equal(0, Sys.Close(a));
        Assert.Equal(1, Sys.EpollWait(epoll, events, 2, 5000));
        Assert.NotEqual(0u, events[0].Events & EpollEvents.HangUp);
        Assert.Equal(0, Sys.Close(b));
        Assert.Equal(0, Sys.Close(epoll));
    }

    [Fact]
    public void Poll_sees_a_pipe_and_an_eventfd()
    {
        Assert.Equal(0, Sys.Pipe2(out int readEnd, out int writeEnd, OpenFlags.CloseOnExec));
        int counter = Sys.EventFd(3, EventFdFlags.CloseOnExec);
        PollFd* fds = stackalloc PollFd[2];
        fds[0] = new() { Fd = readEnd, Events = PollEvents.In };
        fds[1] = new() { Fd = counter, Events = PollEvents.In };

        Assert.Equal(1, Sys.Poll(fds, 2, 0));
        Assert.Equal((0, PollEvents.In), (fds[0].Returned, fds[1].Returned));
        ulong value;
        Assert.Equal(8, Sys.Read(counter, &value, 8));
        Assert.Equal(3ul, value);

        foreach (int fd in (int[])[readEnd, writeEnd, counter])
        {
            Assert.Equal(0, Sys.Close(fd));
        }
    }
}
