using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Deeds that need the kernel: files, sockets, processes, threads, memory.</summary>
internal static class KernelDeeds
{
    private static readonly Lock s_lock = new();

    public static long UseFile()
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, $"{Sys.GetPid()}");
        long pid = long.Parse(File.ReadAllText(path));
        using (var stream = new FileStream(path, FileMode.Open))
        {
            string link = $"/proc/{pid}/fd/{stream.SafeFileHandle.DangerousGetHandle()}";
            Check.Equal(path, new FileInfo(link).ResolveLinkTarget(returnFinalTarget: false)!.FullName);
        }

        File.Delete(path);
        return pid;
    }

    public static long UseSocket()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        using TcpClient server = listener.AcceptTcpClient();
        client.GetStream().Write("hello"u8);
        byte[] buffer = new byte[5];
        server.GetStream().ReadExactly(buffer);
        return Encoding.UTF8.GetString(buffer) == "hello" ? 1 : 0;
    }

    public static long StartProcess()
    {
        using var p = Process.Start(new ProcessStartInfo("sh", ["-c", "echo $PPID"]) { RedirectStandardOutput = true })!;
        Check.That(p.WaitForExit(Check.Patience), "the shell has not ended");
        long parent = long.Parse(p.StandardOutput.ReadLine()!);
        return parent;
    }

    public static long Contend(int rounds)
    {
        long shared = 0;
        bool running = false, other = false;
        var thread = new Thread(() =>
        {
            Volatile.Write(ref running, true);
            for (int i = 0; i < rounds; i++)
            {
                lock (s_lock)
                {
                    shared++;
                    other = true;
                    Thread.Yield();
                }
            }
        });
        lock (s_lock)
        {
            // The two might never meet otherwise. What the other thread waits for, once it runs, is this lock.
            thread.Start();
            Check.Comes(() => Volatile.Read(ref running) && (thread.ThreadState & System.Threading.ThreadState.WaitSleepJoin) != 0);
        }

        for (int i = 0; i < rounds; i++)
        {
            lock (s_lock)
            {
                shared++;
                Thread.Yield();
            }
        }

        Check.Ends(thread);
        return other ? shared : -1;
    }

    public static long WaitForTask(long n)
    {
        Task<long> task = Task.Run(() => Task.Run(() => n + 1).Result);
        Check.That(task.Wait(Check.Patience), "a task has not ended");
        return task.Result;
    }

    public static long UseTimer()
    {
        using var fired = new ManualResetEventSlim();
        using var timer = new Timer(_ => fired.Set(), null, 1, Timeout.Infinite);
        return fired.Wait(Check.Patience) ? 1 : 0;
    }

    public static long StartThread()
    {
        long value = 0;
        var thread = new Thread(() => value = Sys.GetTid());
        thread.Start();
        Check.Ends(thread);
        return value;
    }

    public static long YieldOften(int n)
    {
        for (int i = 0; i < n; i++)
        {
            Thread.Yield();
        }

        return n;
    }

    public static unsafe long Advise()
    {
        byte* p = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(8192, 4096);
        p[0] = 7;
        int r = Sys.Madvise((nint)p, 4096, MemoryAdvice.DontNeed);
        long value = r == 0 ? p[0] : r;
        System.Runtime.InteropServices.NativeMemory.AlignedFree(p);
        return value;
    }

    /// <summary>setgid(2) by libc, to what it is: libc has all threads make the call all the same.</summary>
    public static unsafe long SetIds()
    {
        nint libc = System.Runtime.InteropServices.NativeLibrary.Load("libc.so.6");
        uint gid = ((delegate* unmanaged<uint>)System.Runtime.InteropServices.NativeLibrary.GetExport(libc, "getgid"))();
        Check.Equal(0, ((delegate* unmanaged<uint, int>)System.Runtime.InteropServices.NativeLibrary.GetExport(libc, "setgid"))(gid));
        return gid;
    }

    /// <summary>execve(2): this process becomes "sleep 15", or goes on when that cannot be.</summary>
    public static unsafe long Exec(string program)
    {
        const int execve = 59;
        nint path = System.Runtime.InteropServices.Marshal.StringToCoTaskMemUTF8(program),
            seconds = System.Runtime.InteropServices.Marshal.StringToCoTaskMemUTF8("15");
        nint* arguments = stackalloc nint[] { path, seconds, 0 };
        return Sys.Invoke(execve, path, (nint)arguments, (nint)(arguments + 2));
    }
}
