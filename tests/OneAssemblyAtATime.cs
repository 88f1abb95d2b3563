using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Rpal.Testing;

/// <summary>Keeps test assemblies from running beside each other: they pin CPUs, measure time and kill processes.</summary>
/// <remarks>`dotnet test` starts one test host per project, as many at once as MSBuild has nodes, and no setting of the test runner
/// reaches across hosts. A locked file does, and the kernel releases it however the host ends.</remarks>
internal static class OneAssemblyAtATime
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Held until the process ends.</summary>
    private static FileStream? _turn;

    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "Nothing else runs before the first test of an assembly, whichever that is.")]
    internal static void TakeTurn()
    {
        string path = Path.Combine(Path.GetTempPath(), $"rpal-tests-{Environment.UserName}.lock");
        DateTime deadline = DateTime.UtcNow + LongestWait;
        while (_turn is null)
        {
            try
            {
                _turn = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (DateTime.UtcNow < deadline)
            {
                Thread.Sleep(RetryInterval);                     // a lock of a file cannot be waited for in .NET
            }
        }
    }
}
