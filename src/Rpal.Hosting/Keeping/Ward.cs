using Rpal.Linux;

namespace Rpal.Hosting.Keeping;

/// <summary>A member in its keeper's hands.</summary>
internal sealed class Ward
{
    public const int DescriptorCount = 4;

    private readonly OutputPump.LineBuffer[] _lines;

    public Ward(WardMessage message, ReadOnlySpan<int> descriptors, OutputPump.LineHandler print)
    {
        (Name, Pid, Slot, GraceMs) = (message.Name, message.Pid, message.Slot, message.GraceMs);
        Descriptors = descriptors.ToArray();
        _lines = [new(false, print), new(true, print)];
    }

    public string Name { get; }

    public int Pid { get; }

    public int Slot { get; }

    public int GraceMs { get; }

    /// <summary>Seccomp listener, process, standard output, standard error; -1 once closed.</summary>
    public int[] Descriptors { get; }

    /// <summary>Sends its process a signal; to its group too when it is SIGKILL, as the host does.</summary>
    public void Send(int signal)
    {
        if (signal == Signal.SIGKILL)
        {
            _ = Sys.Kill(-Pid, signal);
        }

        _ = Sys.PidfdSendSignal(Descriptors[1], signal);
    }

    /// <summary>Takes what it wrote to one of its outputs, so that it never waits for a reader.</summary>
    /// <param name="which">0 standard output, 1 standard error.</param>
    public unsafe void Drain(int which)
    {
        const int chunkBytes = 16384;
        byte* chunk = stackalloc byte[chunkBytes];
        nint n = Sys.Read(Descriptors[2 + which], chunk, chunkBytes);
        if (n > 0)
        {
            _lines[which].Add(new ReadOnlySpan<byte>(chunk, (int)n));
        }
        else if (n != -(int)Errno.EINTR)
        {
            Close(2 + which);
        }
    }

    /// <summary>Its process has ended: nothing of it is needed any more.</summary>
    public void Release(bool drain)
    {
        for (int i = 0; i < 2; i++)
        {
            if (drain && Descriptors[2 + i] >= 0 && HasBytes(Descriptors[2 + i]))
            {
                Drain(i);
            }

            _lines[i].Flush();
        }

        for (int i = 0; i < DescriptorCount; i++)
        {
            Close(i);
        }
    }

    private static unsafe bool HasBytes(int fd)
    {
        PollFd poll = new() { Fd = fd, Events = PollEvents.In };
        return Sys.Poll(&poll, 1, 0) > 0;
    }

    private void Close(int index)
    {
        if (Descriptors[index] >= 0)
        {
            _ = Sys.Close(Descriptors[index]);
            Descriptors[index] = -1;
        }
    }
}
