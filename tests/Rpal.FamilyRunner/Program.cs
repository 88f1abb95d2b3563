// Runs the family that the file in its argument defines and prints what happens as JSON, one event per line.
using System.Text;
using System.Text.Json;
using Rpal.Hosting;

Rpal.TestHost.Confinement.EnterIfAsked(args);
using var host = new FamilyHost(FamilyDefinition.Load(args[0]), new JsonLines());
try
{
    return (await host.RunAsync()).ExitCode;
}
catch (MemberStartException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return e.ExitCode;
}

/// <summary>Every event as one line of standard output, written at once.</summary>
internal sealed class JsonLines : IFamilyObserver
{
    private readonly Stream _output = Console.OpenStandardOutput();

    public void Started(string member, int processId, long slotAddress) => Write(new { kind = "started", member, processId });

    public void Line(string member, bool isError, ReadOnlySpan<byte> line) => Write(new { kind = "line", member, isError, text = Encoding.UTF8.GetString(line) });

    public void Ended(string member, MemberExit exit, TimeSpan ran) => Write(new { kind = "ended", member, exitCode = exit.ExitCode, signal = exit.Signal });

    public void Notice(string member, string text) => Write(new { kind = "notice", member, text });

    private void Write<T>(T what)
    {
        _output.Write([.. JsonSerializer.SerializeToUtf8Bytes(what), (byte)'\n']);
        _output.Flush();
    }
}
