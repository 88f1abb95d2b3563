namespace Rpal.Hosting.Tests;

/// <summary>A temporary folder.</summary>
internal sealed class TestFolder : IDisposable
{
    private const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    public string Path { get; } = Directory.CreateTempSubdirectory("rpal-test-").FullName;

    public string File(string name, string text, bool executable = true) => File(name, System.Text.Encoding.UTF8.GetBytes(text), executable);

    public string File(string name, byte[] bytes, bool executable = true)
    {
        string path = System.IO.Path.Combine(Path, name);
        System.IO.File.WriteAllBytes(path, bytes);
        if (executable)
        {
            System.IO.File.SetUnixFileMode(path, Executable);
        }

        return path;
    }

    /// <summary>A fifo: opening it waits for the other side, so it synchronises without sleeping.</summary>
    public string NamedPipe(string name)
    {
        string path = System.IO.Path.Combine(Path, name);
        Programs.Run("mkfifo", path);
        return path;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
