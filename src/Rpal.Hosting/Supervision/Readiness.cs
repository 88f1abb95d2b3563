using System.Reflection;
using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Supervision;

/// <summary>Has all there that the runtime would otherwise get when it needs it: its threads and its assemblies.</summary>
/// <remarks>
/// The runtime opens a pipe for every thread it starts, and two descriptors for every assembly. At RLIMIT_NOFILE a thread's start is an
/// OutOfMemoryException, and in the thread pool's own code nobody catches it: the process ends, and with it the family. So the pool
/// has a fixed size from the beginning (its threads must never block for long), the timers' thread runs, and assemblies are loaded that are used later only.
/// The pool belongs to the whole program. Only one that is a host and nothing else, as rpal is, has it so: it says
/// System.Threading.ThreadPool.ThreadsToKeepAlive = -1 in its runtimeconfig.json, without which idle threads would end and start again.
/// </remarks>
internal static class Readiness
{
    /// <summary>Threads of the pool: for control connections and continuations, all of them short.</summary>
    private const int PoolThreads = 4;

    /// <summary>For the pool's threads to be there. On an overloaded machine they come later by themselves.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    /// <summary>What only assemblies of the framework refer to, and only on occasion.</summary>
    private static readonly string[] s_indirect =
    [
        "System.Diagnostics.DiagnosticSource", "System.Diagnostics.StackTrace", "System.Diagnostics.Tracing", "System.IO.Pipelines", "System.Net.Primitives", "System.Private.Uri",
        "System.Reflection.Emit.ILGeneration", "System.Reflection.Emit.Lightweight", "System.Reflection.Primitives",
        "System.Security.Cryptography", "System.Text.Encoding.Extensions", "System.Text.Encodings.Web",
    ];

    /// <summary>Whether this program is a host and nothing else.</summary>
    public static bool IsHostAlone => AppContext.GetData("System.Threading.ThreadPool.ThreadsToKeepAlive")?.ToString() == "-1";

    /// <exception cref="MemberStartException">There are not enough descriptors for a family of that size.</exception>
    public static void Prepare(int members)
    {
        try
        {
            if (IsHostAlone)
            {
                FixPool();
            }

            new Timer(static _ => { }, null, TimeSpan.FromHours(1), Timeout.InfiniteTimeSpan).Dispose();     // its thread starts with the first that is due at some time
            AddressMap.KeepOpen();
            LoadAssemblies();
        }
        catch (Exception e) when (e is OutOfMemoryException or IOException or TaskSchedulerException)
        {
            HostDescriptors.RequireFor(members);                 // that may be why
            throw;
        }

        HostDescriptors.RequireFor(members);
    }

    private static void FixPool()
    {
        if (ThreadPool.SetMinThreads(PoolThreads, PoolThreads))
        {
            _ = ThreadPool.SetMaxThreads(PoolThreads, PoolThreads);
        }

        using var all = new CountdownEvent(PoolThreads);
        Task.WaitAll(Enumerable.Range(0, PoolThreads).Select(i => Task.Run(() =>
        {
            all.Signal();
            _ = all.Wait(s_patience);
        })));
    }

    /// <summary>Those that the host's own refer to, and <see cref="s_indirect"/>.</summary>
    private static void LoadAssemblies()
    {
        HashSet<string> seen = [];
        Stack<Assembly> own = new([typeof(Readiness).Assembly]);
        if (Assembly.GetEntryAssembly() is { } entry)
        {
            own.Push(entry);
        }

        while (own.TryPop(out Assembly? assembly))
        {
            foreach (AssemblyName name in assembly.GetReferencedAssemblies())
            {
                if (seen.Add(name.Name!) && TryLoad(name) is { } loaded && !IsFramework(name))
                {
                    own.Push(loaded);
                }
            }
        }

        foreach (string name in s_indirect)
        {
            _ = TryLoad(new AssemblyName(name));
        }
    }

    private static bool IsFramework(AssemblyName name) =>
        name.Name is "netstandard" or "System.Private.CoreLib" || File.Exists(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, name.Name + ".dll"));

    /// <returns>Null when it is not there: then nobody uses it.</returns>
    private static Assembly? TryLoad(AssemblyName name)
    {
        try
        {
            return Assembly.Load(name);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }
}
