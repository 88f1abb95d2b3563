using System.Net.Sockets;
using Rpal.Linux;

namespace Rpal.Hosting.Control;

/// <summary>Where hosts listen: <c>$XDG_RUNTIME_DIR/rpal/PID.sock</c>, or <c>/tmp/rpal-UID/PID.sock</c>. The folder is the user's alone.</summary>
internal static class ControlSocket
{
    /// <summary>sun_path, unix(7), less its zero and the longest "/PID.sock".</summary>
    private const int FolderBytesLimit = 108 - 1 - 16;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>The user's folder; it may not exist.</summary>
    public static string Folder()
    {
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        string folder = runtime is ['/', ..] && Directory.Exists(runtime) ? Path.Combine(runtime, "rpal") : "";
        return folder.Length > 0 && System.Text.Encoding.UTF8.GetByteCount(folder) <= FolderBytesLimit ? folder : $"/tmp/rpal-{Sys.Geteuid()}";
    }

    public static string PathOf(int hostPid) => Path.Combine(Folder(), $"{hostPid}.sock");

    /// <summary>Creates the folder, or checks that it is one that nobody else can use.</summary>
    /// <exception cref="IOException">It is not.</exception>
    public static void Prepare()
    {
        string folder = Folder();
        Directory.CreateDirectory(folder, OwnerOnly);
        if (new DirectoryInfo(folder).LinkTarget is not null || File.GetUnixFileMode(folder) != OwnerOnly || !IsOwn(folder))
        {
            throw new IOException($"{folder} belongs to somebody else or is open to others. Remove it, or set XDG_RUNTIME_DIR to a folder of your own.");
        }
    }

    /// <summary>Hosts of this user that are alive. Sockets that dead ones left are removed.</summary>
    public static List<int> Hosts()
    {
        List<int> hosts = [];
        string folder = Folder();
        if (!Directory.Exists(folder))
        {
            return hosts;
        }

        foreach (string path in Directory.GetFiles(folder, "*.sock"))
        {
            if (!int.TryParse(Path.GetFileNameWithoutExtension(path), out int pid))
            {
                continue;
            }

            if (!Directory.Exists($"/proc/{pid}"))
            {
                File.Delete(path);
            }
            else if (Answers(path))
            {
                hosts.Add(pid);
            }
        }

        hosts.Sort();
        return hosts;
    }

    /// <summary>The number of a dead host may be another process's by now, so only who listens counts.</summary>
    private static bool Answers(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Only its owner, or root, may change a folder's mode.</summary>
    private static bool IsOwn(string folder)
    {
        try
        {
            File.SetUnixFileMode(folder, OwnerOnly);
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }
}
