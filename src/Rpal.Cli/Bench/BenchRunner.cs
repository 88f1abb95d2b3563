using System.Diagnostics;
using System.Text.Json.Nodes;
using Rpal.Hosting;
using Rpal.Linux;

namespace Rpal.Cli.Bench;

/// <summary>A benchmark that did not come to its end.</summary>
internal sealed class BenchFailedException(string message) : Exception(message);

/// <summary>Runs a benchmark's processes and collects what they report.</summary>
internal static class BenchRunner
{
    /// <summary>See <see cref="FamilyDefinition.TraceMembers"/>.</summary>
    public static bool TraceMembers { get; set; }

    /// <summary>A family of the service and one measuring member. One per process.</summary>
    public static async Task<JsonObject> FamilyAsync(string role, Action<double> progress, params string[] arguments)
    {
        var observer = new ResultObserver(progress);
        (string command, string[] serve) = SelfCommand.For("service");
        (_, string[] measure) = SelfCommand.For([role, .. arguments]);
        using var host = new FamilyHost(new FamilyDefinition([
            new MemberDefinition { Name = "service", Command = command, Arguments = serve },
            new MemberDefinition { Name = "client", Command = command, Arguments = measure },
        ])
        { TraceMembers = TraceMembers }, observer);
        Task<FamilyResult> run = host.RunAsync();
        _ = observer.ClientEnded.ContinueWith(e => { if (e.Result.ExitCode != 0) { host.Send(Signal.SIGKILL); } }, TaskScheduler.Default);     // nobody would stop the service
        _ = await run.ConfigureAwait(false);
        return observer.Result ?? throw new BenchFailedException($"The measuring member gave no result:{Environment.NewLine}{observer.Output}");
    }

    /// <summary>A socket server and client, as plain processes on the given CPUs.</summary>
    public static async Task<JsonObject> SocketAsync(int serverCpu, int clientCpu, int messages, Action<double> progress)
    {
        string directory = Directory.CreateTempSubdirectory("rpal-bench-").FullName, path = Path.Combine(directory, "socket");
        try
        {
            using Process server = Start("socket-server", path, serverCpu.ToString());
            string? ready = await server.StandardOutput.ReadLineAsync().ConfigureAwait(false);
            if (ready is null)
            {
                throw new BenchFailedException("The socket server did not start.");
            }

            using Process client = Start("socket-client", path, clientCpu.ToString(), messages.ToString());
            JsonObject? result = null;
            while (await client.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
            {
                result = PeerProtocol.Read(System.Text.Encoding.UTF8.GetBytes(line), progress) ?? result;
            }

            await client.WaitForExitAsync().ConfigureAwait(false);
            await server.WaitForExitAsync().ConfigureAwait(false);
            return result ?? throw new BenchFailedException("The socket client gave no result.");
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    public static Process Start(params string[] role)
    {
        (string command, string[] arguments) = SelfCommand.For(role);
        return Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true })!;
    }

    private sealed class ResultObserver(Action<double> progress) : IFamilyObserver
    {
        private readonly TaskCompletionSource<MemberExit> _clientEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public JsonObject? Result { get; private set; }

        public System.Text.StringBuilder Output { get; } = new();

        public Task<MemberExit> ClientEnded => _clientEnded.Task;

        public void Started(string member, int processId, long slotAddress)
        {
        }

        public void Line(string member, bool isError, ReadOnlySpan<byte> line)
        {
            if (isError || PeerProtocol.Read(line, progress) is not { } result)
            {
                Output.AppendLine($"{member} | {System.Text.Encoding.UTF8.GetString(line)}");
            }
            else
            {
                Result = result;
            }
        }

        public void Ended(string member, MemberExit exit, TimeSpan ran)
        {
            Output.AppendLine($"{member} ended: {exit}");
            if (member == "client")
            {
                _clientEnded.SetResult(exit);
            }
        }

        public void Notice(string member, string text) => Output.AppendLine($"{member}: {text}");
    }
}
