using System.CommandLine;

namespace Rpal.Cli.Control;

/// <summary>What the commands that talk to a host have in common.</summary>
internal static class HostOption
{
    public static Option<int?> Create() => new("--host") { Description = "The host (the process id of rpal run), when several families run", HelpName = "PID" };

    public static Argument<string> Member(string what) => new("member") { Description = $"Name of the member to {what}", HelpName = "NAME" };

    /// <returns>The exit code.</returns>
    public static int With(int? host, Action<HostClient> act)
    {
        try
        {
            using HostClient client = HostClient.Connect(host);
            act(client);
            return 0;
        }
        catch (HostException e)
        {
            return Problem.Report(e.ExitCode, e.Message);
        }
    }
}
